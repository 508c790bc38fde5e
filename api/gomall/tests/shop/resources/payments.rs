//! Paying an order. Whatever money providers report is in `money.rs`.

use super::Resource;
use super::cart::shopper;
use crate::conventions::{Keyed, Scene};
use crate::support::key;
use compose::testing::eventually;
use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::json;

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let customer = shopper(scene).await;
    let placed = customer.check_out(&key(), Some("tok_declined")).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let card = |token: &str| json!({"method": "card", "token": token});
    let pay = Keyed::of(&customer, "POST /api/v1/orders/{id}/payments", &[order]);
    vec![pay.with(card("tok_ok")).unlike(card("tok_declined"))]
}

#[tokio::test]
async fn a_declined_card_leaves_the_order_payable_and_nothing_lost() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), Some("tok_insufficient_funds")).await;
    placed.expect(StatusCode::CREATED);
    assert_eq!(placed.body["payment"]["status"], "declined");
    assert_eq!(placed.body["payment"]["failure"]["code"], "insufficient_funds");
    assert_eq!(placed.body["order"]["status"], "awaiting_payment");

    let payments =
        format!("/api/v1/orders/{}/payments", placed.body["order"]["id"].as_str().expect("id"));
    let pay = |token: &str| json!({"method": "card", "token": token});
    let unavailable = customer.post_keyed(&payments, &key(), &pay("tok_unavailable")).await;
    assert_eq!(unavailable.expect(StatusCode::CREATED)["status"], "failed");
    assert_eq!(unavailable.body["failure"]["code"], "provider_unavailable");

    let paid_key = key();
    let paid = customer.post_keyed(&payments, &paid_key, &pay("tok_ok")).await;
    assert_eq!(paid.expect(StatusCode::CREATED)["status"], "captured");
    let again = customer.post_keyed(&payments, &paid_key, &pay("tok_ok")).await;
    assert_eq!(again.expect(StatusCode::CREATED)["id"], paid.body["id"]);
    customer.post_keyed(&payments, &key(), &pay("tok_ok")).await.refused(409, "order_not_payable");
}

#[tokio::test]
async fn an_unknown_outcome_is_queried_and_found_captured() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    customer.add("mascot", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), Some("tok_timeout")).await;
    placed.expect(StatusCode::CREATED);
    let status = placed.body["payment"]["status"].as_str().expect("a status").to_owned();
    assert!(["unknown", "pending", "captured"].contains(&status.as_str()), "{status}");
    let order_path = format!("/api/v1/orders/{}", placed.body["order"]["id"].as_str().expect("id"));
    eventually("the order is paid", || async {
        (customer.get(&order_path).await.body["status"] == "paid").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payment_that_the_customer_has_to_confirm_is_paid_when_they_do() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    customer.add("t-shirt", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), Some("tok_action_required")).await;
    placed.expect(StatusCode::CREATED);
    assert_eq!(placed.body["payment"]["status"], "action_required");
    let url = placed.body["payment"]["action"]["url"].as_str().expect("where to go");
    let path = url.strip_prefix(&scene.gomall.url).expect("a page of the shop's own address");
    let visitor = &scene.visitor;
    visitor.get(path).await.expect(StatusCode::OK);
    visitor.post(path, &json!({"outcome": "approve"})).await.expect(StatusCode::OK);
    let order_path = format!("/api/v1/orders/{}", placed.body["order"]["id"].as_str().expect("id"));
    eventually("the order is paid", || async {
        (customer.get(&order_path).await.body["status"] == "paid").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payment_is_shown_to_its_payer_and_told_to_the_order() {
    let scene = Scene::shared().await;
    let customer = shopper(&scene).await;
    let placed = customer.check_out(&key(), None).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let path = format!("/api/v1/orders/{order}");
    let pay = json!({"method": "card", "token": "tok_ok"});
    let payments = format!("{path}/payments");
    scene.visitor.post_keyed(&payments, &key(), &pay).await.refused(401, "unauthenticated");
    customer.post(&payments, &pay).await.refused(400, "idempotency_key_missing");
    for (member, value) in [("method", "cash"), ("token", ""), ("token", "tok ok")] {
        let mut bad = pay.clone();
        bad[member] = json!(value);
        let refused = customer.post_keyed(&payments, &key(), &bad).await;
        let error = &refused.refused(422, "invalid_field")["errors"][0];
        assert_eq!(error["pointer"], format!("/{member}"));
    }

    let paid = customer.post_keyed(&payments, &key(), &pay).await;
    let payment = paid.expect(StatusCode::CREATED);
    assert_eq!((&payment["order_id"], &payment["status"]), (&json!(order), &json!("captured")));
    assert_eq!(payment["amount"], json!({"amount": 990, "currency": "USD"}));
    assert!(!paid.text.contains("tok_ok"), "what it was paid with is nobody's to see");
    let shown = customer.get_once_at(&path, paid.position()).await;
    let shown = shown.expect(StatusCode::OK);
    assert_eq!((&shown["status"], &shown["payment_status"]), (&json!("paid"), &json!("captured")));
    let events = scene.events_of("payment", paid.id()).await;
    assert_eq!(events, ["PaymentRequested", "PaymentCaptured"]);
    assert_eq!(
        scene.events_of("order", order).await,
        ["OrderPlaced", "OrderPaymentStarted", "OrderPaid"]
    );
}
