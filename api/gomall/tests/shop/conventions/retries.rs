//! `Idempotency-Key`: one request, however often it is sent.

use super::Scene;
use super::parameters::is_keyable;
use super::samples;
use crate::support::{Answer, Person, checkout_body, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// ◆: without a key nothing is done; everywhere else one may do without.
pub(crate) async fn a_key_is_needed_where_the_contract_says_so(scene: &Scene) {
    let before = scene.head().await;
    for operation in scene.contract.operations() {
        let Some(required) = operation.parameter("header", "Idempotency-Key") else { continue };
        let path = operation.sample_path(scene.customer.id());
        // Refused for the key before anything else is looked at, or for its member.
        let body = json!({"nonsense": 1});
        let headers = [("if-match", "*")];
        let answer = scene.admin.send(operation.method(), &path, &headers, Some(&body)).await;
        if required {
            answer.refused(400, "idempotency_key_missing");
        } else {
            assert_ne!(answer.body["code"], "idempotency_key_missing", "{}", operation.name());
        }
    }
    assert_eq!(scene.head().await, before);
}

/// Sends requests twice and remembers which operations have been.
struct Twice<'a> {
    scene: &'a Scene,
    seen: BTreeSet<String>,
}

impl Twice<'_> {
    /// Sends the request twice under one key, then something else under it; gives the first answer.
    async fn send(
        &mut self,
        person: &Person,
        name: &str,
        path: &str,
        body: Value,
        other: Value,
    ) -> Answer {
        let operation = self.scene.contract.operation(name);
        self.seen.insert(name.to_owned());
        let key = key();
        let headers = [("idempotency-key", key.as_str()), ("if-match", "*")];
        let send = async |body: &Value| {
            let body = (!body.is_null()).then_some(body);
            person.send(operation.method(), path, &headers, body).await
        };
        let first = send(&body).await;
        assert!(first.status.is_success(), "{name}: {}", first.text);
        self.scene.contract.assert_announces(operation, &first);
        let head = self.scene.head().await;
        let second = send(&body).await;
        assert_replays(&first, &second, name);
        self.scene.contract.assert_announces(operation, &second);
        if !other.is_null() {
            send(&other).await.refused(422, "idempotency_key_reused");
        }
        assert_eq!(self.scene.head().await, head, "{name}: done once");
        first
    }
}

/// The second answer is the first, and says so.
#[track_caller]
pub(crate) fn assert_replays(first: &Answer, second: &Answer, about: &str) {
    assert_eq!(first.header("idempotent-replayed"), None, "{about}: {}", first.text);
    assert_eq!(second.header("idempotent-replayed"), Some("true"), "{about}: {}", second.text);
    assert_eq!(second.status, first.status, "{about}");
    assert_eq!(second.position(), first.position(), "{about}");
    for name in ["etag", "location", "policy-version"] {
        assert_eq!(second.header(name), first.header(name), "{about}: {name}");
    }
    assert_eq!(without_token(second), without_token(first), "{about}");
}

/// An access token is signed anew: it says when. The key of a program is shown once.
fn without_token(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("access_token");
        members.remove("key");
    }
    body
}

/// Every operation that changes something.
pub(crate) async fn every_unsafe_call_is_done_once_under_one_key(scene: &Scene) {
    let mut twice = Twice { scene, seen: BTreeSet::new() };
    sign_in(&mut twice).await;
    own_account(&mut twice).await;
    sell(&mut twice).await;
    manage(&mut twice).await;
    order(&mut twice).await;
    let mut all: BTreeSet<_> = scene
        .contract
        .operations()
        .iter()
        .filter(|one| is_keyable(one))
        .map(|one| one.name())
        .collect();
    // Decisions about dead letters append nothing that a key could be kept with.
    all.retain(|name| !name.contains("/dead-letters/"));
    assert_eq!(twice.seen, all);
}

async fn sign_in(twice: &mut Twice<'_>) {
    let visitor = twice.scene.visitor.clone();
    let account =
        json!({"email": format!("{}@example.com", key()), "password": "a quite long password"});
    let mut other = account.clone();
    other["name"] = json!("Somebody else");
    let path = "/api/v1/auth/register";
    let registered =
        twice.send(&visitor, &format!("POST {path}"), path, account.clone(), other).await;
    let refresh = json!({"refresh_token": registered.body["refresh_token"]});
    let path = "/api/v1/auth/login";
    twice.send(&visitor, &format!("POST {path}"), path, account, Value::Null).await;
    // Tokens of two sessions do not meet under one key: who is not signed in is whom they come with.
    let path = "/api/v1/auth/refresh";
    twice.send(&visitor, &format!("POST {path}"), path, refresh, Value::Null).await;
}

async fn own_account(twice: &mut Twice<'_>) {
    let password = "a quite long password";
    let account = json!({"email": format!("{}@example.com", key()), "password": password});
    let visitor = twice.scene.visitor.clone();
    let registered = visitor.post("/api/v1/auth/register", &account).await;
    let person = visitor.with_token(registered.body["access_token"].as_str());
    let other = visitor.post("/api/v1/auth/login", &account).await;
    let sessions = person.get_after("/api/v1/me/sessions", other.position()).await;
    let sessions = sessions.expect(StatusCode::OK)["items"].clone();
    let mut others = sessions.as_array().expect("a list").iter();
    let one = others.find(|one| one["current"] == false).expect("the other sign-in");
    let path = format!("/api/v1/me/sessions/{}", one["id"].as_str().expect("an id"));
    let null = || Value::Null;
    twice.send(&person, "DELETE /api/v1/me/sessions/{id}", &path, null(), null()).await;

    let path = "/api/v1/me/password";
    let body = json!({"current": password, "new": "another quite long password"});
    twice.send(&person, "PUT /api/v1/me/password", path, body.clone(), null()).await;
    // Under the same key with a password that is not theirs now.
    let path = "/api/v1/me/step-up";
    let proof = json!({"password": "another quite long password"});
    twice.send(&person, "POST /api/v1/me/step-up", path, proof, null()).await;
    let path = "/api/v1/me/email-verification";
    twice.send(&person, "POST /api/v1/me/email-verification", path, null(), null()).await;
    let path = "/api/v1/me/second-factor";
    twice.send(&person, "DELETE /api/v1/me/second-factor", path, null(), null()).await;

    let name = "POST /api/v1/me/api-keys";
    let body = |name: &str| json!({"name": name, "scopes": ["customer"]});
    let path = "/api/v1/me/api-keys";
    let issued = twice.send(&person, name, path, body("reports"), body("others")).await;
    let path = format!("{path}/{}", issued.body["id"].as_str().expect("an id"));
    let rotate = format!("{path}/rotate");
    twice.send(&person, "POST /api/v1/me/api-keys/{id}/rotate", &rotate, null(), null()).await;
    twice.send(&person, "DELETE /api/v1/me/api-keys/{id}", &path, null(), null()).await;
    let path = "/api/v1/auth/logout";
    twice.send(&person, "POST /api/v1/auth/logout", path, null(), null()).await;
}

async fn sell(twice: &mut Twice<'_>) {
    let admin = twice.scene.admin.clone();
    let create = "POST /api/v1/admin/products";
    let mut product = samples::body(create);
    product["variants"][0]["sku"] = json!("retried");
    let mut other = product.clone();
    other["name"] = json!("Cup");
    let path = "/api/v1/admin/products";
    let created = twice.send(&admin, create, path, product, other.clone()).await;
    let path = format!("{path}/{}", created.body["id"].as_str().expect("an id"));
    let mut third = other.clone();
    third["name"] = json!("Bowl");
    twice.send(&admin, "PUT /api/v1/admin/products/{id}", &path, other, third).await;
    for action in ["publish", "retire", "publish"] {
        let name = format!("POST /api/v1/admin/products/{{id}}/{action}");
        twice.send(&admin, &name, &format!("{path}/{action}"), Value::Null, Value::Null).await;
    }
    for (action, quantity) in [("receive", 9), ("adjust", -2)] {
        let name = format!("POST /api/v1/admin/stock/{{sku}}/{action}");
        let path = format!("/api/v1/admin/stock/retried/{action}");
        let body = |quantity: i32| json!({"quantity": quantity, "reason": "counted"});
        twice.send(&admin, &name, &path, body(quantity), body(quantity + 1)).await;
    }
}

async fn manage(twice: &mut Twice<'_>) {
    let (admin, scene) = (twice.scene.admin.clone(), twice.scene);
    let user = format!("/api/v1/admin/users/{}", scene.shop.customer(&scene.gomall).await.id());
    let role = |name: &str| json!({"role": name});
    let (name, path) = ("POST /api/v1/admin/users/{id}/roles", format!("{user}/roles"));
    twice.send(&admin, name, &path, role("analyst"), role("staff")).await;
    let (name, path) = ("DELETE /api/v1/admin/users/{id}/roles/{role}", format!("{path}/analyst"));
    twice.send(&admin, name, &path, Value::Null, Value::Null).await;
    let name = "DELETE /api/v1/admin/users/{id}/sessions";
    twice.send(&admin, name, &format!("{user}/sessions"), Value::Null, Value::Null).await;
    let name = "PUT /api/v1/admin/second-factor-roles/{role}";
    let path = "/api/v1/admin/second-factor-roles/intern";
    twice.send(&admin, name, path, Value::Null, Value::Null).await;
    let name = "DELETE /api/v1/admin/second-factor-roles/{role}";
    twice.send(&admin, name, path, Value::Null, Value::Null).await;
    let reason = |text: &str| json!({"reason": text});
    let (name, path) = ("POST /api/v1/admin/users/{id}/ban", format!("{user}/ban"));
    twice.send(&admin, name, &path, reason("abuse"), reason("fraud")).await;
    let (name, path) = ("POST /api/v1/admin/users/{id}/unban", format!("{user}/unban"));
    twice.send(&admin, name, &path, Value::Null, Value::Null).await;

    for (part, member, value) in [
        ("permission-rules", "note", "Another."),
        ("public-paths", "path", "/another"),
        ("bans", "reason", "another"),
    ] {
        let (path, name) = (format!("/api/v1/admin/{part}"), format!("POST /api/v1/admin/{part}"));
        let body = samples::body(&name);
        let mut other = body.clone();
        other[member] = json!(value);
        let made = twice.send(&admin, &name, &path, body, other.clone()).await;
        let path = format!("{path}/{}", made.body["id"].as_str().expect("an id"));
        assert_eq!(made.header("location"), Some(path.as_str()));
        if part == "permission-rules" {
            let mut third = other.clone();
            third[member] = json!("A third.");
            twice
                .send(&admin, &format!("PUT /api/v1/admin/{part}/{{id}}"), &path, other, third)
                .await;
        }
        let name = format!("DELETE /api/v1/admin/{part}/{{id}}");
        twice.send(&admin, &name, &path, Value::Null, Value::Null).await;
        admin.delete(&path).await.refused(404, "not_found");
    }
}

async fn order(twice: &mut Twice<'_>) {
    let customer = twice.scene.shop.customer(&twice.scene.gomall).await;
    let line = |sku: &str, quantity: u32| json!({"sku": sku, "quantity": quantity});
    let (lines, quantity) =
        ("/api/v1/me/cart/lines", |quantity: u32| json!({"quantity": quantity}));
    let added = twice
        .send(
            &customer,
            "POST /api/v1/me/cart/lines",
            lines,
            line("notebook", 2),
            line("notebook", 3),
        )
        .await;
    assert_eq!(added.body["lines"][0]["quantity"], 2);
    let path = format!("{lines}/notebook");
    let name = "PUT /api/v1/me/cart/lines/{sku}";
    twice.send(&customer, name, &path, quantity(5), quantity(6)).await;
    let name = "DELETE /api/v1/me/cart/lines/{sku}";
    twice.send(&customer, name, &path, Value::Null, Value::Null).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let name = "DELETE /api/v1/me/cart/lines";
    twice.send(&customer, name, lines, Value::Null, Value::Null).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let path = "/api/v1/checkouts";
    let (body, other) = (checkout_body(Some("tok_declined")), checkout_body(Some("tok_ok")));
    let placed = twice.send(&customer, "POST /api/v1/checkouts", path, body, other).await;
    let order = placed.body["order"]["id"].as_str().expect("an id");
    assert_eq!(placed.header("location"), Some(format!("/api/v1/orders/{order}").as_str()));
    let path = format!("/api/v1/orders/{order}/payments");
    let pay = |token: &str| json!({"method": "card", "token": token});
    let name = "POST /api/v1/orders/{id}/payments";
    twice.send(&customer, name, &path, pay("tok_ok"), pay("tok_declined")).await;
}

/// Keys of different people, methods and paths never meet; one body may be written in many ways.
pub(crate) async fn keys_of_others_and_for_other_things_are_other_keys(scene: &Scene) {
    let (one, other) =
        (scene.shop.customer(&scene.gomall).await, scene.shop.customer(&scene.gomall).await);
    // As long as a key may be, and of everything that it may hold.
    let key: String = ('!'..='~').cycle().take(255).collect();
    let lines = "/api/v1/me/cart/lines";
    let send = async |person: &Person, method: Method, path: &str, body: &str| {
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        let body = (!body.is_empty()).then(|| body.as_bytes().to_vec());
        person.send_bytes(method, path, &headers, body).await
    };
    let first = send(&one, Method::POST, lines, r#"{"sku":"notebook","quantity":1}"#).await;
    assert_eq!(first.expect(StatusCode::OK)["lines"][0]["quantity"], 1);
    for (person, method, path, body) in [
        (&other, Method::POST, lines, r#"{"sku":"notebook","quantity":1}"#),
        (&one, Method::PUT, "/api/v1/me/cart/lines/notebook", r#"{"quantity":7}"#),
        (&one, Method::POST, "/api/v1/checkouts", &checkout_body(None).to_string()),
        (&one, Method::DELETE, "/api/v1/me/cart/lines/notebook", ""),
    ] {
        let answer = send(person, method, path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        assert_eq!(answer.header("idempotent-replayed"), None, "{path}");
    }
    // The cart has been changed, ordered and emptied since: the first outcome is still the answer.
    for same in [
        r#"{"sku":"notebook","quantity":1}"#,
        r#"{"quantity":1,"sku":"notebook"}"#,
        " {\n \"quantity\" : 1 , \"sku\" : \"note\\u0062ook\" } ",
    ] {
        assert_replays(&first, &send(&one, Method::POST, lines, same).await, same);
    }
    for different in [r#"{"sku":"notebook","quantity":2}"#, r#"{"sku":"mascot","quantity":1}"#] {
        let answer = send(&one, Method::POST, lines, different).await;
        answer.refused(422, "idempotency_key_reused");
    }
    // Another session of the same person is the same person.
    let again =
        one.post("/api/v1/auth/refresh", &json!({"refresh_token": one.refresh_token})).await;
    let again = one.with_token(again.expect(StatusCode::OK)["access_token"].as_str());
    let answer = send(&again, Method::POST, lines, r#"{"sku":"notebook","quantity":1}"#).await;
    assert_replays(&first, &answer, "another token");
}

/// What was refused has changed nothing, so its key is free: for the same, and for something else.
pub(crate) async fn a_refusal_is_decided_afresh(scene: &Scene) {
    let customer = scene.shop.customer(&scene.gomall).await;
    let key = key();
    customer.check_out(&key, None).await.refused(422, "cart_empty");
    customer.check_out(&key, None).await.refused(422, "cart_empty");
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key, None).await;
    placed.expect(StatusCode::CREATED);
    assert_replays(&placed, &customer.check_out(&key, None).await, "checkout");

    let lines = "/api/v1/me/cart/lines";
    let line = |sku: &str, quantity: u32| json!({"sku": sku, "quantity": quantity});
    let refused = customer.post_keyed(lines, &key, &line("nothing", 1)).await;
    refused.refused(404, "unknown_sku");
    let refused = customer.post_keyed(lines, &key, &line("notebook", 1000)).await;
    refused.refused(422, "quantity_out_of_range");
    let added = customer.post_keyed(lines, &key, &line("notebook", 998)).await;
    added.expect(StatusCode::OK);
    // The line is full for everything but the repetition.
    customer.add("notebook", 2).await.refused(422, "quantity_out_of_range");
    let again = customer.post_keyed(lines, &key, &line("notebook", 998)).await;
    assert_replays(&added, &again, "a full line");
}

/// A request of several steps that has not come to its end.
pub(crate) async fn a_request_that_still_runs_says_so(scene: &Scene) {
    let customer = scene.shop.customer(&scene.gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), None).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let path = format!("/api/v1/orders/{order}/payments");
    let body = json!({"method": "card", "token": "tok_slow_3000"});
    let (begun, key) = (scene.head().await, key());
    let slow = customer.post_keyed(&path, &key, &body);
    let meanwhile = async {
        eventually("the payment is asked for", || async {
            let events = format!("/api/v1/events?after={begun}&types=PaymentRequested");
            let events = scene.admin.get(&events).await;
            (events.body["items"] != json!([])).then_some(())
        })
        .await;
        customer.post_keyed(&path, &key, &body).await
    };
    let (first, meanwhile) = tokio::join!(slow, meanwhile);
    meanwhile.refused(409, "request_in_progress");
    assert!(meanwhile.header("retry-after").is_some());
    assert_eq!(first.expect(StatusCode::CREATED)["status"], "captured");
    assert_replays(&first, &customer.post_keyed(&path, &key, &body).await, "a payment");
}
