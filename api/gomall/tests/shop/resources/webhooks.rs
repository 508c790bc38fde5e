//! What payment providers tell us on their own accord. What becomes of the money is in `money.rs`.

use super::cart::shopper;
use crate::conventions::Scene;
use crate::support::{Answer, Person, key, new_id};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The bytes that the sandbox and the shop share.
const SECRET: &[u8] = b"between the two of us alone";

const PATH: &str = "/api/v1/webhooks/payments/sandbox";

/// The same as a setting has it.
pub(crate) fn secret() -> String {
    STANDARD.encode(SECRET)
}

/// What the provider tells on its own accord, signed by whoever holds the secret.
pub(crate) async fn notify(visitor: &Person, payment: &Value, state: &Value) -> Answer {
    let signed = signed(&notification(payment, state), 0);
    send(visitor, &signed).await
}

fn notification(payment: &Value, state: &Value) -> String {
    let mut body = state.clone();
    body["type"] = json!("payment.updated");
    body["id"] = json!(new_id());
    body["payment_id"] = payment.clone();
    body.to_string()
}

/// A notification as it goes over the wire.
#[derive(Clone)]
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

/// Signed so many seconds ago.
#[expect(clippy::disallowed_methods, reason = "the test is its own composition root")]
fn signed(body: &str, ago: i64) -> Signed {
    let (id, body) = (new_id().to_string(), body.to_owned());
    let timestamp = (time::OffsetDateTime::now_utc().unix_timestamp() - ago).to_string();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        format!("{id}.{timestamp}.{body}").as_bytes(),
    );
    let signature = format!("v1,{}", STANDARD.encode(tag));
    Signed { id, timestamp, signature, body }
}

async fn send(visitor: &Person, signed: &Signed) -> Answer {
    let headers = [
        ("webhook-id", &*signed.id),
        ("webhook-timestamp", &*signed.timestamp),
        ("webhook-signature", &*signed.signature),
        ("content-type", "application/json"),
    ];
    visitor.send_bytes(Method::POST, PATH, &headers, Some(signed.body.clone().into_bytes())).await
}

#[tokio::test]
async fn only_what_the_provider_has_signed_lately_is_taken() {
    let scene = Scene::shared().await;
    let gomall = scene.shop.serve_with(&[("GOMALL_SANDBOX_WEBHOOK_SECRET", &secret())]);
    let visitor = scene.visitor.at(&gomall);
    let customer = shopper(&scene).await.at(&gomall);
    let placed = customer.check_out(&key(), Some("tok_action_required")).await;
    let payment = placed.expect(StatusCode::CREATED)["payment"]["id"].clone();
    let captured = json!({"status": "captured", "amount": 990, "currency": "USD"});
    let body = notification(&payment, &captured);
    let good = signed(&body, 0);

    let refused =
        async |bad: Signed| send(&visitor, &bad).await.refused(401, "bad_signature").clone();
    refused(Signed { body: body.replace("990", "991"), ..good.clone() }).await;
    refused(Signed { id: new_id().to_string(), ..good.clone() }).await;
    refused(Signed { signature: "v1,AAAA".to_owned(), ..good.clone() }).await;
    refused(Signed { signature: String::new(), ..good.clone() }).await;
    refused(Signed { timestamp: "yesterday".to_owned(), ..good.clone() }).await;
    refused(signed(&body, 24 * 60 * 60)).await;
    send(&visitor, &signed("{}", 0)).await.refused(400, "malformed_json");
    let elsewhere = visitor.post("/api/v1/webhooks/payments/nobody", &json!({})).await;
    elsewhere.refused(404, "not_found");
    let unknown = notify(&visitor, &json!(new_v7()), &captured).await;
    assert_eq!(
        unknown.status,
        StatusCode::ACCEPTED,
        "a payment of somebody else: {}",
        unknown.text
    );

    for _ in 0..2 {
        let taken = send(&visitor, &good).await;
        assert_eq!((taken.status, &*taken.text), (StatusCode::OK, ""));
    }
    let id = payment.as_str().expect("an id");
    let events = scene.events_of("payment", id).await;
    let captures = events.iter().filter(|name| *name == "PaymentCaptured");
    assert_eq!(captures.count(), 1, "{events:?}");
}

/// An id in the contract's form that no payment has.
fn new_v7() -> String {
    let mut id = new_id().to_string();
    id.replace_range(14..15, "7");
    id
}
