//! What the sandbox tells on its own accord.

use super::support::{Closed, Delivery, captured, charge, declined, now, sandbox, secret, start};
use commands::payments::{PaymentProvider, ProviderAnswer};
use compose::testing::eventually;
use domain::PaymentId;
use futures::future::join_all;
use provider::webhook::{InvalidSignature, verify};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{database, new_id};

#[tokio::test]
async fn every_outcome_is_notified_with_a_signature_that_holds() {
    let receiver = Closed::new();
    let sandbox = start(&database().await, |settings| receiver.subscribe(settings)).await;
    let mut receiver = receiver.open();
    for (token, expected) in [
        ("tok_ok", captured()),
        ("tok_timeout", captured()),
        ("tok_insufficient_funds", declined("insufficient_funds")),
    ] {
        let id = new_id();
        let provider = sandbox.provider.clone();
        // Nobody waits for the answer; the notification comes all the same.
        let charging = tokio::spawn(async move { provider.charge(charge(id, token)).await });
        let notification = receiver.notification().await;
        assert_eq!((notification.payment_id, notification.answer), (id, expected), "{token}");
        charging.abort();
    }

    let id = new_id();
    sandbox.provider.charge(charge(id, "tok_action_required")).await;
    let url = format!("{}/sandbox/payments/{id}", sandbox.base);
    let asked = receiver.notification().await;
    assert_eq!(asked.answer, ProviderAnswer::ActionRequired { url: url.clone() });
    let decision = reqwest::Client::new().post(url).json(&json!({ "outcome": "approve" }));
    decision.send().await.expect("the page answers");
    let approved = receiver.notification().await;
    assert_eq!((approved.payment_id, &approved.answer), (id, &captured()));
    assert_ne!(approved.event_id, asked.event_id);

    let id = new_id();
    sandbox.provider.cancel(id).await;
    let voided = receiver.notification().await;
    assert_eq!((voided.payment_id, voided.answer), (id, ProviderAnswer::Voided));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_tampered_notification_is_not_believed() {
    let receiver = Closed::new();
    let sandbox = start(&database().await, |settings| receiver.subscribe(settings)).await;
    let mut receiver = receiver.open();
    let id = new_id();
    sandbox.provider.charge(charge(id, "tok_declined")).await;
    let Delivery { headers, body } = receiver.delivery().await;
    let now = now();
    assert!(verify(&secret(), &headers, &body, now).is_ok());

    let read: Value = serde_json::from_slice(&body).expect("it is JSON");
    assert_eq!(read["type"], "payment.updated");
    assert_eq!(read["id"], headers["webhook-id"].to_str().expect("it is text"));
    assert_eq!(read["payment_id"], id.to_string());
    assert_eq!((&read["status"], &read["code"]), (&json!("declined"), &json!("card_declined")));
    assert_eq!((&read["amount"], &read["currency"]), (&json!(990), &json!("USD")));

    let text = String::from_utf8(body.to_vec()).expect("it is text");
    let forged = text.replace("declined", "captured");
    let outcome = verify(&secret(), &headers, forged.as_bytes(), now);
    assert_eq!(outcome, Err(InvalidSignature::Mismatch));
    let played_again = now + time::Duration::minutes(6);
    let outcome = verify(&secret(), &headers, &body, played_again);
    assert_eq!(outcome, Err(InvalidSignature::Timestamp));
    sandbox.stop().await;
}

#[tokio::test]
async fn what_the_receiver_missed_is_delivered_when_it_is_back() {
    let database = database().await;
    let receiver = Closed::new();
    let before = start(&database, |settings| receiver.subscribe(settings)).await;
    let id = new_id();
    assert_eq!(before.provider.charge(charge(id, "tok_ok")).await, captured());
    let pool = before.pool.clone();
    eventually("delivery was tried in vain", async || {
        let sql = "select attempts from sandbox.webhooks where next_attempt_at < clock_timestamp() + interval '10 s'";
        let attempts: Option<i32> =
            sqlx::query_scalar(sql).fetch_optional(&pool).await.expect("the table is there");
        attempts.filter(|attempts| *attempts > 0)
    })
    .await;
    before.stop().await;

    // Not even the restart of the provider loses it.
    let after = start(&database, |settings| receiver.subscribe(settings)).await;
    let mut receiver = receiver.open();
    let notification = receiver.notification().await;
    assert_eq!((notification.payment_id, notification.answer), (id, captured()));
    eventually("it is done with", async || (after.count("webhooks").await == 0).then_some(()))
        .await;
    assert!(receiver.is_empty());
    after.stop().await;
}

#[tokio::test]
async fn two_services_notify_once() {
    let database = database().await;
    let receiver = Closed::new();
    let one = start(&database, |settings| receiver.subscribe(settings)).await;
    let two = start(&database, |settings| receiver.subscribe(settings)).await;
    let mut receiver = receiver.open();
    let mut expected: Vec<PaymentId> = (0..100).map(|_| new_id()).collect();
    let providers = [&one.provider, &two.provider].into_iter().cycle();
    let charges = providers.zip(&expected).map(|(provider, id)| {
        let charge = charge(*id, "tok_declined");
        async move { provider.charge(charge).await }
    });
    join_all(charges).await;
    let mut notified = Vec::new();
    for _ in &expected {
        notified.push(receiver.notification().await.payment_id);
    }
    expected.sort();
    notified.sort();
    assert_eq!(notified, expected);
    eventually("all is done with", async || (one.count("webhooks").await == 0).then_some(())).await;
    assert!(receiver.is_empty());
    one.stop().await;
    two.stop().await;
}

/// Waiting for it would hold up all others; taking it too would send it twice.
#[tokio::test]
async fn a_notification_that_another_process_is_claiming_is_left_to_it() {
    let database = database().await;
    let receiver = Closed::new();
    let before = start(&database, |settings| receiver.subscribe(settings)).await;
    let claimed = new_id();
    before.provider.charge(charge(claimed, "tok_declined")).await;
    before.stop().await;

    let after = sandbox(&database).await;
    let due = "update sandbox.webhooks set next_attempt_at = clock_timestamp()";
    sqlx::query(due).execute(&after.pool).await.expect("the table is there");
    let mut claim = after.pool.begin().await.expect("a connection is free");
    let sql = "select id from sandbox.webhooks for update";
    sqlx::query(sql).fetch_one(&mut *claim).await.expect("it is kept");
    let other = start(&database, |settings| receiver.subscribe(settings)).await;
    let mut receiver = receiver.open();
    let id = new_id();
    other.provider.charge(charge(id, "tok_declined")).await;
    assert_eq!(receiver.notification().await.payment_id, id);
    claim.rollback().await.expect("the claimant is gone");
    assert_eq!(receiver.notification().await.payment_id, claimed);
    after.stop().await;
    other.stop().await;
}

/// The charge's caller is gone before it is captured: the sweep captures, and tells.
#[tokio::test]
async fn an_abandoned_charge_is_captured_and_notified() {
    let receiver = Closed::new();
    let sandbox = start(&database().await, |settings| {
        receiver.subscribe(settings);
        settings.delay = Duration::from_millis(300);
    })
    .await;
    let mut receiver = receiver.open();
    let id = new_id();
    let provider = sandbox.provider.clone();
    let charging = tokio::spawn(async move { provider.charge(charge(id, "tok_ok")).await });
    eventually("the charge is taken", async || {
        (sandbox.count("payments").await == 1).then_some(())
    })
    .await;
    charging.abort();
    let notification = receiver.notification().await;
    assert_eq!((notification.payment_id, notification.answer), (id, captured()));
    sandbox.stop().await;
}

#[tokio::test]
async fn without_a_receiver_nothing_is_kept_for_one() {
    let sandbox = sandbox(&database().await).await;
    sandbox.provider.charge(charge(new_id(), "tok_ok")).await;
    assert_eq!(sandbox.count("webhooks").await, 0);
    sandbox.stop().await;
}
