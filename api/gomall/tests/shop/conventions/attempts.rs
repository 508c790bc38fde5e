//! One request, sent again while nobody knows yet what became of the first attempt: at two
//! processes at once, and beside an attempt whose client has left and whose append still waits.

use super::Scene;
use super::parameters::is_keyable;
use super::retries::assert_replays;
use super::samples;
use crate::support::{Answer, Gomall, Person, checkout_body, key};
use compose::testing::eventually;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;

/// How often the requests are sent that two processes were seen to answer differently: they are
/// only sometimes on their way at the same moment.
const ROUNDS: usize = 12;

/// A request that can be carried out once, and only once.
struct Case {
    person: Person,
    /// The operation's name in the contract.
    name: String,
    path: String,
    body: Value,
}

impl Case {
    fn new(person: &Person, method: &str, pattern: &str, path: &str, body: Value) -> Self {
        let name = format!("{method} /api/v1{pattern}");
        Self { person: person.clone(), name, path: format!("/api/v1{path}"), body }
    }

    async fn send(&self, scene: &Scene, at: &Gomall, key: &str) -> Answer {
        let method = scene.contract.operation(&self.name).method();
        let headers = [("idempotency-key", key), ("if-match", "*")];
        let body = (!self.body.is_null()).then_some(&self.body);
        self.person.at(at).send(method, &self.path, &headers, body).await
    }

    /// As clients do: again, under the same key, for as long as they are told to come back.
    async fn send_patiently(&self, scene: &Scene, at: &Gomall, key: &str) -> Answer {
        eventually(&self.name, || async {
            let answer = self.send(scene, at, key).await;
            let again = answer.status == StatusCode::SERVICE_UNAVAILABLE
                || answer.body["code"] == "request_in_progress";
            (!again).then_some(answer)
        })
        .await
    }

    /// The answers tell one outcome, which is that of any later attempt as well.
    async fn assert_one_outcome(&self, scene: &Scene, answers: &[Answer], key: &str) {
        let later = self.send(scene, &scene.gomall, key).await;
        assert_eq!(later.header("idempotent-replayed"), Some("true"), "{}", self.name);
        let mut first = later.clone();
        first.headers.remove("idempotent-replayed");
        for answer in answers {
            assert!(answer.status.is_success(), "{}: {}", self.name, answer.text);
            if self.asks_a_provider() {
                // How a payment stands is told as it is, not as it was.
                assert_eq!(answer.body["id"], later.body["id"], "{}", self.name);
                assert_eq!(answer.body["order"]["id"], later.body["order"]["id"], "{}", self.name);
                continue;
            }
            let mut answer = answer.clone();
            answer.headers.insert("idempotent-replayed", "true".parse().expect("a header"));
            assert_replays(&first, &answer, &self.name);
        }
        let done = answers.iter().filter(|one| one.header("idempotent-replayed").is_none());
        assert!(done.count() <= 1, "{}: done twice", self.name);
    }

    fn asks_a_provider(&self) -> bool {
        self.body["token"] != Value::Null || self.body["payment"] != Value::Null
    }
}

/// One case for every operation that takes a key, each of something made for it.
async fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = vec![];
    sign_in(scene, &mut cases).await;
    own_account(scene, &mut cases).await;
    shop(scene, &mut cases).await;
    sell(scene, &mut cases).await;
    manage(scene, &mut cases).await;
    let seen: BTreeSet<_> = cases.iter().map(|case| case.name.clone()).collect();
    let operations = scene.contract.operations();
    let mut all: BTreeSet<_> =
        operations.iter().filter(|one| is_keyable(one)).map(|one| one.name()).collect();
    // Decisions about dead letters append nothing that a key could be kept with.
    all.retain(|name| !name.contains("/dead-letters/"));
    assert_eq!(seen, all);
    cases
}

fn registration(scene: &Scene) -> Case {
    let body =
        json!({"email": format!("{}@example.com", key()), "password": "a quite long password"});
    Case::new(&scene.visitor, "POST", "/auth/register", "/auth/register", body)
}

async fn sign_in(scene: &Scene, cases: &mut Vec<Case>) {
    let (visitor, register) = (&scene.visitor, registration(scene));
    let registered = visitor.post(&register.path, &register.body).await;
    let refresh = json!({"refresh_token": registered.body["refresh_token"]});
    cases.extend([
        Case::new(visitor, "POST", "/auth/login", "/auth/login", register.body),
        Case::new(visitor, "POST", "/auth/refresh", "/auth/refresh", refresh),
        registration(scene),
    ]);
}

/// What one does with one's own account: each with an account of its own.
async fn own_account(scene: &Scene, cases: &mut Vec<Case>) {
    let (password, new) = ("a quite long password", "another quite long password");
    let keys = "/me/api-keys";
    let key_body = json!({"name": "reports", "scopes": ["customer"]});
    for (method, pattern, body) in [
        ("PUT", "/me/password", json!({"current": password, "new": new})),
        ("POST", "/me/step-up", json!({"password": password})),
        ("POST", "/me/email-verification", Value::Null),
        ("DELETE", "/me/second-factor", Value::Null),
        ("POST", keys, key_body.clone()),
        ("POST", "/auth/logout", Value::Null),
    ] {
        let person = scene.shop.customer(&scene.gomall).await;
        cases.push(Case::new(&person, method, pattern, pattern, body));
    }
    for (method, part) in [("POST", "/rotate"), ("DELETE", "")] {
        let person = scene.shop.customer(&scene.gomall).await;
        let issued = person.post_keyed(&format!("/api/v1{keys}"), &key(), &key_body).await;
        let id = issued.expect(StatusCode::CREATED)["id"].as_str().expect("an id");
        let (pattern, path) = (format!("{keys}/{{id}}{part}"), format!("{keys}/{id}{part}"));
        cases.push(Case::new(&person, method, &pattern, &path, Value::Null));
    }
    let person = scene.shop.customer(&scene.gomall).await;
    let email = person.user["email"].clone();
    let again = json!({"email": email, "password": password});
    let again = scene.visitor.post("/api/v1/auth/login", &again).await;
    let sessions = person.get_after("/api/v1/me/sessions", again.position()).await;
    let sessions = sessions.expect(StatusCode::OK)["items"].clone();
    let mut others = sessions.as_array().expect("a list").iter();
    let other = others.find(|one| one["current"] == false).expect("the other sign-in");
    let path = format!("/me/sessions/{}", other["id"].as_str().expect("an id"));
    cases.push(Case::new(&person, "DELETE", "/me/sessions/{id}", &path, Value::Null));
}

/// Somebody with something in the cart.
async fn shopper(scene: &Scene) -> Person {
    let customer = scene.shop.customer(&scene.gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    customer
}

async fn checkout(scene: &Scene, token: Option<&str>) -> Case {
    let customer = shopper(scene).await;
    Case::new(&customer, "POST", "/checkouts", "/checkouts", checkout_body(token))
}

async fn shop(scene: &Scene, cases: &mut Vec<Case>) {
    let lines = "/me/cart/lines";
    for (method, one, body) in [
        ("POST", false, json!({"sku": "notebook", "quantity": 2})),
        ("PUT", true, json!({"quantity": 5})),
        ("DELETE", true, Value::Null),
        ("DELETE", false, Value::Null),
    ] {
        let (pattern, path) = (format!("{lines}/{{sku}}"), format!("{lines}/notebook"));
        let (pattern, path) = if one { (&*pattern, &*path) } else { (lines, lines) };
        cases.push(Case::new(&shopper(scene).await, method, pattern, path, body));
    }
    cases.push(checkout(scene, None).await);
    cases.push(checkout(scene, Some("tok_ok")).await);
    let customer = shopper(scene).await;
    let placed = customer.check_out(&key(), None).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let (pattern, path) = ("/orders/{id}/payments", format!("/orders/{order}/payments"));
    let card = json!({"method": "card", "token": "tok_ok"});
    cases.push(Case::new(&customer, "POST", pattern, &path, card));
}

/// A new product, as staff would send it.
fn product() -> Value {
    let mut product = samples::body("POST /api/v1/admin/products");
    product["variants"][0]["sku"] = json!(key());
    product
}

async fn sell(scene: &Scene, cases: &mut Vec<Case>) {
    let (admin, products) = (&scene.admin, "/admin/products");
    cases.push(Case::new(admin, "POST", products, products, product()));
    for action in ["", "/publish", "/retire"] {
        let created = admin.post_keyed("/api/v1/admin/products", &key(), &product()).await;
        let id = created.expect(StatusCode::CREATED)["id"].as_str().expect("an id");
        let (pattern, path) = (format!("{products}/{{id}}{action}"), format!("{products}/{id}"));
        let case = if action.is_empty() {
            Case::new(admin, "PUT", &pattern, &path, product())
        } else {
            Case::new(admin, "POST", &pattern, &format!("{path}{action}"), Value::Null)
        };
        cases.push(case);
    }
    for action in ["receive", "adjust"] {
        let (pattern, path) =
            (format!("/admin/stock/{{sku}}/{action}"), format!("/admin/stock/notebook/{action}"));
        let body = json!({"quantity": 1, "reason": "counted"});
        cases.push(Case::new(admin, "POST", &pattern, &path, body));
    }
}

async fn manage(scene: &Scene, cases: &mut Vec<Case>) {
    let (admin, reason) = (&scene.admin, json!({"reason": "abuse"}));
    for (method, part, before, body) in [
        ("POST", "/roles", None, json!({"role": "analyst"})),
        ("DELETE", "/roles/{role}", Some(("/roles", json!({"role": "analyst"}))), Value::Null),
        ("DELETE", "/sessions", None, Value::Null),
        ("POST", "/ban", None, reason.clone()),
        ("POST", "/unban", Some(("/ban", reason.clone())), Value::Null),
    ] {
        let user = format!("/admin/users/{}", scene.shop.customer(&scene.gomall).await.id());
        if let Some((part, body)) = before {
            admin.post(&format!("/api/v1{user}{part}"), &body).await.expect(StatusCode::OK);
        }
        let path = format!("{user}{part}").replace("{role}", "analyst");
        cases.push(Case::new(admin, method, &format!("/admin/users/{{id}}{part}"), &path, body));
    }
    for method in ["PUT", "DELETE"] {
        let (pattern, path) =
            ("/admin/second-factor-roles/{role}", format!("/admin/second-factor-roles/{}", key()));
        if method == "DELETE" {
            admin.put(&format!("/api/v1{path}"), &json!({})).await.expect(StatusCode::NO_CONTENT);
        }
        cases.push(Case::new(admin, method, pattern, &path, Value::Null));
    }
    for part in ["/admin/permission-rules", "/admin/public-paths", "/admin/bans"] {
        let body = samples::body(&format!("POST /api/v1{part}"));
        cases.push(Case::new(admin, "POST", part, part, body.clone()));
        let changes = if part.ends_with("rules") { &["PUT", "DELETE"][..] } else { &["DELETE"] };
        for method in changes {
            let made = admin.post(&format!("/api/v1{part}"), &body).await;
            let id = made.expect(StatusCode::CREATED)["id"].as_str().expect("an id");
            let body = if *method == "PUT" { body.clone() } else { Value::Null };
            let pattern = format!("{part}/{{id}}");
            cases.push(Case::new(admin, method, &pattern, &format!("{part}/{id}"), body));
        }
    }
    let banned = json!({"user_id": scene.shop.customer(&scene.gomall).await.id(), "reason": "x"});
    let made = admin.post("/api/v1/admin/bans", &banned).await;
    let path = format!("/admin/bans/{}", made.body["id"].as_str().expect("an id"));
    cases.push(Case::new(admin, "DELETE", "/admin/bans/{id}", &path, Value::Null));
}

/// The same request at two processes at once has one outcome, and both tell it.
pub(crate) async fn an_attempt_at_each_of_two_processes_at_once(scene: &Scene, other: &Gomall) {
    let mut cases = cases(scene).await;
    for _ in 0..ROUNDS {
        cases.push(registration(scene));
        cases.push(checkout(scene, None).await);
        cases.push(checkout(scene, Some("tok_ok")).await);
    }
    for case in cases {
        let key = key();
        let here = case.send_patiently(scene, &scene.gomall, &key);
        let there = case.send_patiently(scene, other, &key);
        let (here, there) = tokio::join!(here, there);
        case.assert_one_outcome(scene, &[here, there], &key).await;
    }
}

/// The client of the first attempt leaves while its append waits, and asks again, at the same
/// process and at another one.
pub(crate) async fn an_attempt_beside_one_that_still_waits(scene: &Scene, other: &Gomall) {
    let url = scene.shop.stack.postgres.url("gomall");
    let mut stall = PgConnection::connect(&url).await.expect("the database is up");
    let mut watch = PgConnection::connect(&url).await.expect("the database is up");
    for case in cases(scene).await {
        let key = key();
        lock(&mut stall, "select pg_advisory_lock(7366)").await;
        let mut first = Box::pin(case.send(scene, &scene.gomall, &key));
        tokio::select! {
            answer = &mut first => panic!("{}: nothing is appended: {}", case.name, answer.text),
            () = writers_wait(&mut watch, 1) => {}
        }
        drop(first);
        let attempts = [&scene.gomall, other].map(|at| case.send_patiently(scene, at, &key));
        let released = async {
            writers_wait(&mut watch, 2).await;
            lock(&mut stall, "select pg_advisory_unlock(7366)").await;
        };
        let (answers, ()) = tokio::join!(join_all(attempts), released);
        case.assert_one_outcome(scene, &answers, &key).await;
    }
}

/// The lock that orders appends.
async fn lock(connection: &mut PgConnection, sql: &str) {
    sqlx::query(sql).execute(connection).await.expect("the database is up");
}

/// Waits until the append of so many processes waits for the lock.
async fn writers_wait(connection: &mut PgConnection, processes: i64) {
    let connection = tokio::sync::Mutex::new(connection);
    eventually("the appends wait", || async {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks \
              where locktype = 'advisory' and classid = 0 and objid = 7366 and not granted",
        )
        .fetch_one(&mut **connection.lock().await)
        .await
        .expect("the database is up");
        (waiting >= processes).then_some(())
    })
    .await;
}

/// What was done under a key is the answer, whatever has become impossible since.
pub(crate) async fn an_attempt_after_what_has_made_it_impossible(scene: &Scene, other: &Gomall) {
    let admin = &scene.admin;
    let created = admin.post_keyed("/api/v1/admin/products", &key(), &product()).await;
    let made = created.expect(StatusCode::CREATED);
    let path = format!("/api/v1/admin/products/{}", made["id"].as_str().expect("an id"));
    let published = admin.send(Method::POST, &format!("{path}/publish"), &[], None).await;
    let sku = made["variants"][0]["sku"].as_str().expect("a SKU");
    let customer = shopper(scene).await;
    customer.get_once_at("/api/v1/products", published.position()).await;
    let lines = "/me/cart/lines";
    let add = Case::new(&customer, "POST", lines, lines, json!({"sku": sku, "quantity": 1}));
    let (pattern, line) = (format!("{lines}/{{sku}}"), format!("{lines}/{sku}"));
    let change = Case::new(&customer, "PUT", &pattern, &line, json!({"quantity": 2}));
    // In force for a moment only.
    let until: String = sqlx::query_scalar(
        "select to_char((now() + interval '2 seconds') at time zone 'UTC', \
                        'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
    )
    .fetch_one(
        &mut PgConnection::connect(&scene.shop.stack.postgres.url("gomall"))
            .await
            .expect("the database is up"),
    )
    .await
    .expect("a moment");
    let banned = format!("/admin/users/{}/ban", scene.shop.customer(&scene.gomall).await.id());
    let soon_over = json!({"reason": "abuse", "until": until});
    let ban = Case::new(admin, "POST", "/admin/users/{id}/ban", &banned, soon_over.clone());
    let address = json!({"cidr": "198.51.100.0/24", "reason": "abuse", "until": until});
    let ban_address = Case::new(admin, "POST", "/admin/bans", "/admin/bans", address);

    let mut done = vec![];
    for case in [add, change, ban, ban_address] {
        let key = key();
        let answer = case.send(scene, &scene.gomall, &key).await;
        assert!(answer.status.is_success(), "{}: {}", case.name, answer.text);
        done.push((case, key, answer));
    }
    let retired = admin.send(Method::POST, &format!("{path}/retire"), &[], None).await;
    customer.get_once_at("/api/v1/products", retired.position()).await;
    eventually("its time is over", || async {
        let answer = admin.post(&format!("/api/v1{banned}"), &soon_over).await;
        (answer.status == StatusCode::UNPROCESSABLE_ENTITY).then_some(())
    })
    .await;
    for (case, first_key, answer) in done {
        let fresh = case.send(scene, other, &key()).await;
        assert!(fresh.status.is_client_error(), "{}: {}", case.name, fresh.text);
        assert_replays(&answer, &case.send(scene, other, &first_key).await, &case.name);
        assert_replays(&answer, &case.send(scene, &scene.gomall, &first_key).await, &case.name);
    }
}

/// A late duplicate of what had nothing to do then has nothing to do now.
pub(crate) async fn an_attempt_after_one_that_had_nothing_to_do(scene: &Scene) {
    let (admin, key) = (&scene.admin, key());
    let user = format!("/api/v1/admin/users/{}", scene.shop.customer(&scene.gomall).await.id());
    let (roles, staff) = (format!("{user}/roles"), json!({"role": "staff"}));
    admin.post(&roles, &staff).await.expect(StatusCode::OK);
    let before = scene.head().await;
    let nothing = admin.post_keyed(&roles, &key, &staff).await;
    nothing.expect(StatusCode::OK);
    assert_eq!((nothing.position(), scene.head().await), (before, before));
    let revoked = admin.delete(&format!("{roles}/staff")).await;
    assert_eq!(revoked.expect(StatusCode::OK)["roles"], json!(["customer"]));
    assert_replays(&nothing, &admin.post_keyed(&roles, &key, &staff).await, "a late duplicate");
    let other = admin.post_keyed(&roles, &key, &json!({"role": "analyst"})).await;
    other.refused(422, "idempotency_key_reused");
    let now = admin.delete(&format!("{roles}/nothing")).await;
    assert_eq!(now.expect(StatusCode::OK)["roles"], json!(["customer"]), "revoked is revoked");
}
