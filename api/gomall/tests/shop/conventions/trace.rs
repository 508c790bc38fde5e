//! One trace leads from the request to everything that came of it.

use super::Scene;
use crate::support::{Answer, checkout_body, key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The caller's trace goes on in the events' metadata and in problems; without one, ours begins.
pub(crate) async fn a_trace_leads_from_the_request_to_its_events(scene: &Scene) {
    let customer = scene.shop.customer(&scene.gomall).await;
    let send = async |parent: Option<&str>, path: &str, body: &Value| {
        let key = key();
        let mut headers = vec![("idempotency-key", key.as_str())];
        headers.extend(parent.map(|parent| ("traceparent", parent)));
        customer.send(Method::POST, path, &headers, Some(body)).await
    };
    let (lines, line) = ("/api/v1/me/cart/lines", json!({"sku": "notebook", "quantity": 1}));

    let before = scene.head().await;
    let added = send(Some(PARENT), lines, &line).await;
    added.expect(StatusCode::OK);
    let body = checkout_body(None);
    let placed = send(Some(PARENT), "/api/v1/checkouts", &body).await;
    placed.expect(StatusCode::CREATED);
    let events = events_after(scene, before).await;
    let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    for step in ["ItemAdded", "StockReserved", "OrderPlaced", "CartCheckedOut"] {
        assert!(types.iter().any(|one| one.contains(step)), "{step}: {types:?}");
    }
    for event in &events {
        let (trace_id, span_id, flags) = parts(&event["traceparent"]);
        assert_eq!((trace_id, flags), (TRACE_ID, "01"), "{event}");
        assert_ne!(span_id, "00f067aa0ba902b7", "the span is ours");
    }
    for event in &events {
        let of_checkout = event["position"].as_u64() > Some(added.position());
        let answer = if of_checkout { &placed } else { &added };
        assert_eq!(event["correlationid"].as_str(), answer.header("x-request-id"), "{event}");
        assert_eq!(event["actor"], format!("user:{}", customer.id()));
    }

    // The sandbox's notification may be faster than our own question: what came of the request is
    // what was asked of the provider.
    let order = placed.body["order"]["id"].as_str().expect("an id");
    let before = scene.head().await;
    let pay = json!({"method": "card", "token": "tok_declined"});
    let paid = send(Some(PARENT), &format!("/api/v1/orders/{order}/payments"), &pay).await;
    paid.expect(StatusCode::CREATED);
    let events = events_after(scene, before).await;
    let asked = events.iter().find(|event| event["type"] == "gomall.payment.PaymentRequested.v1");
    assert_eq!(parts(&asked.expect("it was asked for")["traceparent"]).0, TRACE_ID);

    let refused = json!({"sku": "nobody-sells-this", "quantity": 1});
    let problem = |answer: &Answer| answer.body["trace_id"].as_str().expect("text").to_owned();
    assert_eq!(problem(&send(Some(PARENT), lines, &refused).await), TRACE_ID);
    for (method, path) in
        [(Method::GET, "/nonsense"), (Method::PUT, "/healthz"), (Method::GET, "/docs/")]
    {
        let answer = scene.visitor.send(method, path, &[("traceparent", PARENT)], None).await;
        assert_eq!(problem(&answer), TRACE_ID, "{path}");
    }

    // A trace that is none, or none at all: one begins, and it is the same in event and log.
    for bad in
        [None, Some("nonsense"), Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01")]
    {
        let trace_id = problem(&send(bad, lines, &refused).await);
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(trace_id.len() == 32 && is_hex(&trace_id) && trace_id != TRACE_ID, "{trace_id}");
        let before = scene.head().await;
        let added = send(bad, lines, &line).await;
        let events = events_after(scene, before).await;
        assert_eq!(events.len(), 1);
        let (trace_id, _, _) = parts(&events[0]["traceparent"]);
        let request_id = added.header("x-request-id").expect("every answer has one");
        assert_eq!(trace_id, request_id.replace('-', ""), "it is named after the request");
    }
}

async fn events_after(scene: &Scene, position: u64) -> Vec<Value> {
    let events = scene.admin.get(&format!("/api/v1/events?after={position}")).await;
    events.expect(StatusCode::OK)["items"].as_array().expect("a list").clone()
}

/// Trace id, span id and flags.
fn parts(traceparent: &Value) -> (&str, &str, &str) {
    let parts: Vec<_> = traceparent.as_str().expect("text").split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{traceparent}");
    (parts[1], parts[2], parts[3])
}
