//! One request, sent again while nobody knows yet what became of the first attempt: at two
//! processes at once, and beside an attempt whose client has left and whose append still waits.

use super::Scene;
use super::keyed::{self, Keyed, asks_to_come_back, assert_replays};
use crate::resources::{admin::products, auth, cart, checkout};
use crate::support::{Answer, Gomall, key};
use compose::testing::eventually;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// How often the requests are sent that two processes were seen to answer differently: they are
/// only sometimes on their way at the same moment.
const ROUNDS: usize = 12;

impl Keyed {
    /// As clients do: again, under the same key, for as long as they are told to come back.
    async fn send_patiently(&self, scene: &Scene, at: &Gomall, key: &str) -> Answer {
        eventually(&self.name, || async {
            let answer = self.send(scene, at, key).await;
            (!asks_to_come_back(&answer)).then_some(answer)
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
}

/// The same request at two processes at once has one outcome, and both tell it.
pub(crate) async fn an_attempt_at_each_of_two_processes_at_once(scene: &Scene, other: &Gomall) {
    let mut calls = keyed::all(scene).await;
    for _ in 0..ROUNDS {
        calls.push(auth::registration(scene));
        calls.push(checkout::of_a_shopper(scene, None).await);
        calls.push(checkout::of_a_shopper(scene, Some("tok_ok")).await);
    }
    for call in calls {
        let key = key();
        let here = call.send_patiently(scene, &scene.gomall, &key);
        let there = call.send_patiently(scene, other, &key);
        let (here, there) = tokio::join!(here, there);
        call.assert_one_outcome(scene, &[here, there], &key).await;
    }
}

/// The client of the first attempt leaves while its append waits, and asks again, at the same
/// process and at another one.
pub(crate) async fn an_attempt_beside_one_that_still_waits(scene: &Scene, other: &Gomall) {
    let url = scene.shop.stack.postgres.url("gomall");
    let mut stall = PgConnection::connect(&url).await.expect("the database is up");
    let mut watch = PgConnection::connect(&url).await.expect("the database is up");
    for call in keyed::all(scene).await {
        let key = key();
        lock(&mut stall, "select pg_advisory_lock(7366)").await;
        let mut first = Box::pin(call.send(scene, &scene.gomall, &key));
        tokio::select! {
            answer = &mut first => panic!("{}: nothing is appended: {}", call.name, answer.text),
            () = writers_wait(&mut watch, 1) => {}
        }
        drop(first);
        let attempts = [&scene.gomall, other].map(|at| call.send_patiently(scene, at, &key));
        let released = async {
            writers_wait(&mut watch, 2).await;
            lock(&mut stall, "select pg_advisory_unlock(7366)").await;
        };
        let (answers, ()) = tokio::join!(join_all(attempts), released);
        call.assert_one_outcome(scene, &answers, &key).await;
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
    let created = admin.post_keyed("/api/v1/admin/products", &key(), &products::sample()).await;
    let made = created.expect(StatusCode::CREATED);
    let path = format!("/api/v1/admin/products/{}", made["id"].as_str().expect("an id"));
    let published = admin.send(Method::POST, &format!("{path}/publish"), &[], None).await;
    let sku = made["variants"][0]["sku"].as_str().expect("a SKU");
    let customer = cart::shopper(scene).await;
    customer.get_once_at("/api/v1/products", published.position()).await;
    let add = Keyed::of(&customer, "POST /api/v1/me/cart/lines", &[]);
    let add = add.with(json!({"sku": sku, "quantity": 1}));
    let change = Keyed::of(&customer, "PUT /api/v1/me/cart/lines/{sku}", &[sku]);
    let change = change.with(json!({"quantity": 2}));
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
    let other_customer = scene.shop.customer(&scene.gomall).await;
    let banned = other_customer.id();
    let soon_over = json!({"reason": "abuse", "until": until});
    let ban = Keyed::of(admin, "POST /api/v1/admin/users/{id}/ban", &[banned]);
    let ban = ban.with(soon_over.clone());
    let address = json!({"cidr": "198.51.100.0/24", "reason": "abuse", "until": until});
    let ban_address = Keyed::of(admin, "POST /api/v1/admin/bans", &[]).with(address);

    let mut done = vec![];
    for call in [add, change, ban, ban_address] {
        let key = key();
        let answer = call.send(scene, &scene.gomall, &key).await;
        assert!(answer.status.is_success(), "{}: {}", call.name, answer.text);
        done.push((call, key, answer));
    }
    let retired = admin.send(Method::POST, &format!("{path}/retire"), &[], None).await;
    customer.get_once_at("/api/v1/products", retired.position()).await;
    eventually("its time is over", || async {
        let answer = admin.post(&format!("/api/v1/admin/users/{banned}/ban"), &soon_over).await;
        (answer.status == StatusCode::UNPROCESSABLE_ENTITY).then_some(())
    })
    .await;
    for (call, first_key, answer) in done {
        let fresh = call.send(scene, other, &key()).await;
        assert!(fresh.status.is_client_error(), "{}: {}", call.name, fresh.text);
        assert_replays(&answer, &call.send(scene, other, &first_key).await, &call.name);
        assert_replays(&answer, &call.send(scene, &scene.gomall, &first_key).await, &call.name);
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
