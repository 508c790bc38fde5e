//! The sandbox provider and its client, over HTTP, with its books in a real PostgreSQL.

#[path = "sandbox/support.rs"]
mod support;
#[path = "sandbox/webhooks.rs"]
mod webhooks;

use axum::http::StatusCode;
use commands::payments::{PaymentProvider, ProviderAnswer};
use compose::testing::eventually;
use domain::{Currency, Money, PaymentId};
use futures::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use support::{Closed, captured, charge, declined, sandbox, start};
use testkit::{database, new_id};

#[tokio::test]
async fn each_token_has_its_outcome_and_a_question_finds_the_same() {
    let sandbox = sandbox(&database().await).await;
    for (token, expected) in [
        ("tok_ok", captured()),
        ("tok_slow_50", captured()),
        ("tok_declined", declined("card_declined")),
        ("tok_insufficient_funds", declined("insufficient_funds")),
        ("tok_nobody_knows", declined("invalid_token")),
        ("tok_slow_10001", declined("invalid_token")),
    ] {
        let id = new_id();
        assert_eq!(sandbox.provider.charge(charge(id, token)).await, expected, "{token}");
        assert_eq!(sandbox.provider.query(id).await, expected, "{token}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_provider_can_capture_something_else_than_it_was_asked_for() {
    let sandbox = sandbox(&database().await).await;
    let money = |minor, code| {
        let currency = Currency::parse(code).expect("a currency");
        Money::new(minor, currency).expect("in range")
    };
    for (token, amount) in [
        ("tok_capture_500", money(500, "USD")),
        ("tok_capture_0", money(0, "USD")),
        ("tok_capture_5000_EUR", money(5_000, "EUR")),
    ] {
        let id = new_id();
        let expected = ProviderAnswer::Captured { amount };
        assert_eq!(sandbox.provider.charge(charge(id, token)).await, expected, "{token}");
        assert_eq!(sandbox.provider.query(id).await, expected, "{token}");
        assert_eq!(sandbox.provider.cancel(id).await, expected, "{token}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn an_unavailable_provider_records_nothing_and_can_be_asked_again() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    let unavailable = sandbox.provider.charge(charge(id, "tok_unavailable")).await;
    assert_eq!(unavailable, ProviderAnswer::Unavailable);
    assert_eq!(sandbox.provider.query(id).await, ProviderAnswer::NotFound);
    assert_eq!(sandbox.provider.charge(charge(id, "tok_ok")).await, captured());
    // Known by now, so it was not "not taken".
    assert_eq!(sandbox.provider.charge(charge(id, "tok_unavailable")).await, captured());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_found_captured() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    let lost = sandbox.provider.charge(charge(id, "tok_timeout")).await;
    assert_eq!(lost, ProviderAnswer::NoAnswer);
    assert_eq!(sandbox.provider.query(id).await, captured());
    assert_eq!(sandbox.provider.charge(charge(id, "tok_timeout")).await, captured());
    sandbox.stop().await;
}

#[tokio::test]
async fn the_customer_decides_on_the_page() {
    let sandbox = sandbox(&database().await).await;
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");

    for (form, outcome, expected) in [
        (false, "approve", captured()),
        (true, "approve", captured()),
        (false, "decline", declined("authentication_failed")),
        (true, "decline", declined("authentication_failed")),
    ] {
        let id = new_id();
        let url = format!("{}/sandbox/payments/{id}", sandbox.base);
        let action = ProviderAnswer::ActionRequired { url: url.clone() };
        let asked = sandbox.provider.charge(charge(id, "tok_action_required")).await;
        assert_eq!(asked, action);
        assert_eq!(sandbox.provider.query(id).await, action);

        let page = browser.get(&url).send().await.expect("the page answers");
        let page = page.text().await.expect("it is text");
        assert!(page.contains("9.90 USD") && page.contains(outcome), "{page}");

        // People click twice.
        for _ in 0..2 {
            let decision = if form {
                browser
                    .post(&url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(format!("outcome={outcome}"))
            } else {
                browser.post(&url).json(&json!({ "outcome": outcome }))
            };
            let status = decision.send().await.expect("the page answers").status();
            let taken = if form { StatusCode::SEE_OTHER } else { StatusCode::OK };
            assert_eq!(status, taken);
            assert_eq!(sandbox.provider.query(id).await, expected);
        }

        let other = if outcome == "approve" { "decline" } else { "approve" };
        let late = browser.post(&url).json(&json!({ "outcome": other })).send().await;
        assert_eq!(late.expect("the page answers").status(), StatusCode::CONFLICT);
        assert_eq!(sandbox.provider.query(id).await, expected);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_page_refuses_what_it_does_not_know() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    sandbox.provider.charge(charge(id, "tok_action_required")).await;
    let browser = reqwest::Client::new();
    let url = format!("{}/sandbox/payments/{id}", sandbox.base);
    for (body, expected) in [
        ("{\"outcome\":", StatusCode::BAD_REQUEST),
        ("{}", StatusCode::UNPROCESSABLE_ENTITY),
        ("{\"outcome\":\"perhaps\"}", StatusCode::UNPROCESSABLE_ENTITY),
        ("{\"outcome\":\"approve\",\"tip\":1}", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = browser.post(&url).body(body).send().await.expect("the page answers");
        assert_eq!(answer.status(), expected, "{body}");
    }
    for unknown in [new_id::<PaymentId>().to_string(), "7".to_owned()] {
        let url = format!("{}/sandbox/payments/{unknown}", sandbox.base);
        let shown = browser.get(&url).send().await.expect("the page answers");
        assert_eq!(shown.status(), StatusCode::NOT_FOUND);
        let decided = browser.post(&url).body("{\"outcome\":\"approve\"}").send().await;
        assert_eq!(decided.expect("the page answers").status(), StatusCode::NOT_FOUND);
    }
    let action = ProviderAnswer::ActionRequired { url };
    assert_eq!(sandbox.provider.query(id).await, action);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_page_can_be_served_by_another_listener() {
    let sandbox = sandbox(&database().await).await;
    let shop = "http://shop.example".parse().expect("an address");
    let settings = sandbox::SandboxSettings::new(shop);
    let router = sandbox::pages(sandbox.pool.clone(), &settings);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let served = tokio::spawn(async move { axum::serve(listener, router).await });

    let id = new_id();
    sandbox.provider.charge(charge(id, "tok_action_required")).await;
    let url = format!("http://{address}/sandbox/payments/{id}");
    let approved = reqwest::Client::new().post(url).json(&json!({ "outcome": "approve" }));
    assert_eq!(approved.send().await.expect("the page answers").status(), StatusCode::OK);
    assert_eq!(sandbox.provider.query(id).await, captured());
    served.abort();
    sandbox.stop().await;
}

#[tokio::test]
async fn the_first_outcome_stands_whatever_is_asked_later() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    let first = sandbox.provider.charge(charge(id, "tok_declined")).await;
    assert_eq!(first, declined("card_declined"));
    let again = sandbox.provider.charge(charge(id, "tok_ok")).await;
    assert_eq!(again, declined("card_declined"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_cancelled_payment_can_never_be_charged() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    for _ in 0..2 {
        assert_eq!(sandbox.provider.cancel(id).await, ProviderAnswer::Voided);
    }
    assert_eq!(sandbox.provider.query(id).await, ProviderAnswer::Voided);
    for token in ["tok_ok", "tok_timeout", "tok_action_required", "tok_unavailable"] {
        let charged = sandbox.provider.charge(charge(id, token)).await;
        assert_eq!(charged, ProviderAnswer::Voided, "{token}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_settled_payment_is_not_voided() {
    let sandbox = sandbox(&database().await).await;
    for (token, expected) in [("tok_ok", captured()), ("tok_declined", declined("card_declined"))] {
        let id = new_id();
        sandbox.provider.charge(charge(id, token)).await;
        assert_eq!(sandbox.provider.cancel(id).await, expected);
        assert_eq!(sandbox.provider.query(id).await, expected);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_payment_that_waits_for_the_customer_can_be_cancelled() {
    let sandbox = sandbox(&database().await).await;
    let id = new_id();
    sandbox.provider.charge(charge(id, "tok_action_required")).await;
    assert_eq!(sandbox.provider.cancel(id).await, ProviderAnswer::Voided);
    let url = format!("{}/sandbox/payments/{id}", sandbox.base);
    let late = reqwest::Client::new().post(url).json(&json!({ "outcome": "approve" }));
    assert_eq!(late.send().await.expect("the page answers").status(), StatusCode::CONFLICT);
    assert_eq!(sandbox.provider.query(id).await, ProviderAnswer::Voided);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_charge_that_is_cancelled_while_it_runs_answers_voided() {
    let database = database().await;
    let sandbox = start(&database, |settings| settings.delay = Duration::from_secs(1)).await;
    let id = new_id();
    let running = tokio::spawn({
        let provider = sandbox.provider.clone();
        async move { provider.charge(charge(id, "tok_ok")).await }
    });
    eventually("the charge is taken", async || {
        (sandbox.provider.query(id).await == ProviderAnswer::Pending).then_some(())
    })
    .await;
    assert_eq!(sandbox.provider.cancel(id).await, ProviderAnswer::Voided);
    assert_eq!(running.await.expect("no panic"), ProviderAnswer::Voided);
    sandbox.stop().await;
}

/// Half of the charges go to each of two services: on one database they are one provider.
#[tokio::test]
async fn sixteen_concurrent_charges_of_one_payment_capture_once() {
    let database = database().await;
    // Nothing is taken there, so what was captured stays to be counted.
    let receiver = Closed::new();
    let one = start(&database, |settings| receiver.subscribe(settings)).await;
    let two = start(&database, |settings| receiver.subscribe(settings)).await;
    // Again and again, because a lost race looks like a won one most of the time.
    for round in 1..=20 {
        let id = new_id();
        let charges = (0..16).map(|number| {
            let provider = if number % 2 == 0 { &one.provider } else { &two.provider };
            provider.charge(charge(id, "tok_ok"))
        });
        for answer in join_all(charges).await {
            assert_eq!(answer, captured());
        }
        assert_eq!([one.count("payments").await, one.count("webhooks").await], [round, round]);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn of_a_charge_and_a_cancellation_at_the_same_time_one_wins() {
    let sandbox = sandbox(&database().await).await;
    let races = (0..32).map(|number| {
        let provider = &sandbox.provider;
        async move {
            let id = new_id();
            let charging = provider.charge(charge(id, "tok_slow_0"));
            let cancelling = provider.cancel(id);
            // Whoever is asked first is a little ahead.
            let (charged, cancelled) = if number % 2 == 0 {
                tokio::join!(charging, cancelling)
            } else {
                let (cancelled, charged) = tokio::join!(cancelling, charging);
                (charged, cancelled)
            };
            let outcome = provider.query(id).await;
            assert!([captured(), ProviderAnswer::Voided].contains(&outcome), "{outcome:?}");
            assert_eq!([charged, cancelled], [outcome.clone(), outcome]);
        }
    });
    join_all(races).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_restarted_provider_has_forgotten_nothing() {
    let database = database().await;
    let before = sandbox(&database).await;
    let (paid, refused) = (new_id(), new_id());
    before.provider.charge(charge(paid, "tok_ok")).await;
    before.provider.charge(charge(refused, "tok_declined")).await;
    before.stop().await;

    let after = sandbox(&database).await;
    assert_eq!(after.provider.query(paid).await, captured());
    assert_eq!(after.provider.query(refused).await, declined("card_declined"));
    assert_eq!(after.provider.charge(charge(refused, "tok_ok")).await, declined("card_declined"));
    after.stop().await;
}

#[tokio::test]
async fn a_stop_answers_a_running_charge_and_the_next_start_finishes_it() {
    let database = database().await;
    let before = start(&database, |settings| settings.delay = Duration::from_secs(2)).await;
    let id = new_id();
    let running = tokio::spawn({
        let provider = before.provider.clone();
        async move { provider.charge(charge(id, "tok_ok")).await }
    });
    eventually("the charge is taken", async || {
        (before.provider.query(id).await == ProviderAnswer::Pending).then_some(())
    })
    .await;
    before.stop().await;
    assert_eq!(running.await.expect("no panic"), ProviderAnswer::Pending);

    let after = sandbox(&database).await;
    eventually("the charge is captured", async || {
        (after.provider.query(id).await == captured()).then_some(())
    })
    .await;
    after.stop().await;
}

#[tokio::test]
async fn a_malformed_charge_is_refused_and_records_nothing() {
    let sandbox = sandbox(&database().await).await;
    let id: PaymentId = new_id();
    let good = json!({
        "id": id, "amount": 990, "currency": "USD",
        "method": "card", "token": "tok_ok", "reference": "order",
    });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let key = id.to_string();
    let long = "x".repeat(256);
    for (key, body, expected, code) in [
        (None, good.to_string(), 400, "idempotency_key_missing"),
        (Some("other"), good.to_string(), 422, "invalid_field"),
        (Some(&*key), "{".to_owned(), 400, "malformed_json"),
        (Some(&*key), with("amount", json!("990")), 400, "malformed_json"),
        (Some(&*key), with("amount", json!(-1)), 422, "invalid_field"),
        (Some(&*key), with("currency", json!("XXX")), 400, "malformed_json"),
        (Some(&*key), with("surprise", json!(1)), 400, "malformed_json"),
        (Some(&*key), with("reference", json!("a\0b")), 422, "invalid_field"),
        (Some(&*key), with("token", json!(long)), 422, "invalid_field"),
    ] {
        let mut request = reqwest::Client::new().post(format!("{}/v1/payments", sandbox.base));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.body(body.clone()).send().await.expect("the service answers");
        assert_eq!(answer.status().as_u16(), expected, "{body}");
        let problem: Value = answer.json().await.expect("it is JSON");
        assert_eq!(problem["code"], code, "{body}");
    }
    assert_eq!(sandbox.count("payments").await, 0);
    sandbox.stop().await;
}
