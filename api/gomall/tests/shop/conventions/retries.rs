//! `Idempotency-Key`: one request, however often it is sent.

use super::Scene;
use super::keyed::{self, assert_replays};
use super::samples;
use crate::support::{Person, checkout_body, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::json;

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

/// Every operation that takes a key: twice under one key it is done once, and the key belongs to that body.
pub(crate) async fn every_keyed_call_is_done_once_under_one_key(scene: &Scene) {
    for call in keyed::all(scene).await {
        let (key, name) = (key(), &call.name);
        let operation = scene.contract.operation(name);
        let first = call.send(scene, &scene.gomall, &key).await;
        assert!(first.status.is_success(), "{name}: {}", first.text);
        scene.contract.assert_announces(operation, &first);
        let head = scene.head().await;
        let second = call.send(scene, &scene.gomall, &key).await;
        assert_replays(&first, &second, name);
        scene.contract.assert_announces(operation, &second);
        if let Some(other) = &call.other {
            let other = call.send_body(scene, &scene.gomall, &key, other).await;
            other.refused(422, "idempotency_key_reused");
        }
        assert_eq!(scene.head().await, head, "{name}: done once");
    }
}

/// An unsafe call without a key could not be retried, so it only computes: its example is answered, and nothing
/// is appended. A provider's notification has an id of its own.
pub(crate) async fn what_takes_no_key_changes_nothing(scene: &Scene) {
    // For whatever asks what the cart would cost.
    scene.admin.add("notebook", 1).await.expect(StatusCode::OK);
    let (before, mut seen) = (scene.head().await, 0);
    for operation in scene.contract.operations() {
        let is_keyed = operation.parameter("header", "Idempotency-Key").is_some();
        let is_notification = operation.path.starts_with("/api/v1/webhooks/");
        if !operation.is_unsafe() || is_keyed || is_notification {
            continue;
        }
        seen += 1;
        let path = operation.sample_path(scene.customer.id());
        let mut answered = false;
        for (_, body) in samples::bodies().filter(|(name, _)| *name == operation.name()) {
            // Also without what an example states about something that is not there.
            let mut least = body.clone();
            let required = scene.contract.required(operation);
            least.as_object_mut().expect("an object").retain(|name, _| required.contains(&&**name));
            for body in [body, &least] {
                let answer = scene.admin.send(operation.method(), &path, &[], Some(body)).await;
                answered |= answer.status.is_success();
            }
        }
        let name = operation.name();
        assert!(answered, "{name} does more than to compute: take `Command` or `KeyedCommand`");
    }
    assert_eq!(scene.head().await, before, "take `Command` or `KeyedCommand`");
    assert!(seen > 0, "what computes is found by what it does not take");
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
