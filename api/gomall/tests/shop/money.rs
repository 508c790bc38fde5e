//! Money that the provider reports, at a running shop: by the answer, by a notification and by the
//! question, whatever was asked for.

use crate::resources::webhooks::{notify, secret};
use crate::support::process::Gomall;
use crate::support::{Answer, Person, Shop, key};
use compose::testing::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// A notebook, in cents.
const PRICE: i64 = 990;

/// A shop whose notifications the test can sign.
async fn shop() -> (Shop, Gomall) {
    let shop = Shop::new().await;
    let gomall = shop.serve_with(&[("GOMALL_SANDBOX_WEBHOOK_SECRET", &secret())]);
    (shop, gomall)
}

/// A customer with an order of one notebook, whose checkout paid with `token`.
async fn order(shop: &Shop, gomall: &Gomall, token: Option<&str>) -> (Person, Answer, String) {
    let customer = shop.customer(gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), token).await;
    placed.expect(StatusCode::CREATED);
    let path = format!("/api/v1/orders/{}", placed.body["order"]["id"].as_str().expect("an id"));
    (customer, placed, path)
}

/// Somebody who may see what has to go back.
async fn staff(shop: &Shop, gomall: &Gomall) -> Person {
    let (admin, staff) = (shop.admin(gomall).await, shop.customer(gomall).await);
    let roles = format!("/api/v1/admin/users/{}/roles", staff.id());
    admin.post(&roles, &json!({"role": "staff"})).await.expect(StatusCode::OK);
    staff
}

async fn pay(customer: &Person, order: &str, key: &str, token: &str) -> Answer {
    let body = json!({"method": "card", "token": token});
    customer.post_keyed(&format!("{order}/payments"), key, &body).await
}

/// What staff see of a payment that has money to give back.
async fn orphan(staff: &Person, payment: &Value, position: u64) -> Option<Value> {
    let list = staff.get_once_at("/api/v1/admin/payments?orphaned=true", position).await;
    let items = list.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    items.into_iter().find(|item| item["id"] == *payment)
}

fn usd(cents: i64) -> Value {
    json!({"amount": cents, "currency": "USD"})
}

#[tokio::test]
async fn a_capture_that_is_not_what_was_asked_for_is_seen_by_staff_and_the_order_goes_on() {
    let (shop, gomall) = shop().await;
    let staff = staff(&shop, &gomall).await;
    for (token, amount, code) in [
        ("tok_capture_500", usd(500), "captured_less"),
        (
            "tok_capture_990_EUR",
            json!({"amount": 990, "currency": "EUR"}),
            "captured_other_currency",
        ),
    ] {
        let (customer, placed, path) = order(&shop, &gomall, Some(token)).await;
        let payment = &placed.body["payment"];
        assert_eq!(payment["status"], "failed", "{}", placed.text);
        assert_eq!(payment["failure"]["code"], code);
        assert_eq!(placed.body["order"]["status"], "awaiting_payment");
        assert_eq!(placed.body["order"]["payment_status"], "failed");
        let seen = customer.get_once_at(&path, placed.position()).await;
        assert_eq!(seen.expect(StatusCode::OK), &placed.body["order"]);
        let orphan = orphan(&staff, &payment["id"], placed.position()).await.expect("it is shown");
        assert_eq!(
            orphan["captured"],
            json!([{"amount": amount, "orphaned": amount, "code": code}])
        );
        assert_eq!((&orphan["status"], &orphan["amount"]), (&json!("captured"), &usd(PRICE)));

        let paid = pay(&customer, &path, &key(), "tok_ok").await;
        assert_eq!(paid.expect(StatusCode::CREATED)["status"], "captured");
        let order = customer.get_once_at(&path, paid.position()).await;
        assert_eq!(order.expect(StatusCode::OK)["status"], "paid");
    }

    let (_, placed, _) = order(&shop, &gomall, Some("tok_capture_5000")).await;
    assert_eq!(placed.body["order"]["status"], "paid", "{}", placed.text);
    assert_eq!(placed.body["payment"]["status"], "captured");
    let payment = &placed.body["payment"]["id"];
    let orphan = orphan(&staff, payment, placed.position()).await.expect("it is shown");
    let rest = json!([{"amount": usd(5_000), "orphaned": usd(4_010), "code": "captured_more"}]);
    assert_eq!(orphan["captured"], rest);
}

#[tokio::test]
async fn whatever_is_notified_is_taken_at_once_and_again() {
    let (shop, gomall) = shop().await;
    let (visitor, staff) = (shop.visitor(&gomall), staff(&shop, &gomall).await);
    for (amount, currency, pays, is_orphan) in [
        (json!(PRICE), json!("USD"), true, false),
        (json!(PRICE - 1), json!("USD"), false, true),
        (json!(PRICE + 1), json!("USD"), true, true),
        (json!(PRICE), json!("EUR"), false, true),
        (json!(0), json!("USD"), false, false),
        (json!(-1), json!("USD"), false, true),
        (json!(1_000_000_000_001_u64), json!("USD"), false, true),
        (json!(1e30), json!("USD"), false, true),
        (Value::Null, Value::Null, false, true),
    ] {
        let told = format!("{amount} {currency}");
        let (customer, placed, path) = order(&shop, &gomall, Some("tok_action_required")).await;
        let payment = &placed.body["payment"]["id"];
        let state = json!({"status": "captured", "amount": amount, "currency": currency});
        for _ in 0..2 {
            assert_eq!(notify(&visitor, payment, &state).await.status, StatusCode::OK, "{told}");
        }
        let another = pay(&customer, &path, &key(), "tok_declined").await;
        if pays {
            another.refused(409, "order_not_payable");
        } else {
            assert_eq!(another.expect(StatusCode::CREATED)["status"], "declined", "{told}");
        }
        // Appended after all of it, so whoever sees this has seen the rest.
        let after = customer.add("mascot", 1).await.position();
        let order = customer.get_once_at(&path, after).await;
        let status = if pays { "paid" } else { "awaiting_payment" };
        assert_eq!(order.expect(StatusCode::OK)["status"], status, "{told}");
        assert_eq!(orphan(&staff, payment, after).await.is_some(), is_orphan, "{told}");
    }
}

#[tokio::test]
async fn a_question_finds_what_was_captured_whatever_it_is() {
    let (shop, gomall) = shop().await;
    let staff = staff(&shop, &gomall).await;
    let (customer, placed, path) = order(&shop, &gomall, Some("tok_action_required")).await;
    // It was captured there, less than was asked for, and nobody told us.
    let database =
        sqlx::PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    sqlx::query("update sandbox.payments set status = 'captured', amount_minor = 500")
        .execute(&database)
        .await
        .expect("the sandbox's books");
    eventually("settlement has asked", || async {
        let order = customer.get_once_at(&path, placed.position()).await;
        (order.expect(StatusCode::OK)["payment_status"] == "failed").then_some(())
    })
    .await;
    let payment = &placed.body["payment"]["id"];
    let orphan = orphan(&staff, payment, placed.position()).await.expect("it is shown");
    assert_eq!(orphan["captured"][0]["orphaned"], usd(500));
    eventually("nothing is in the air", || async {
        let left: i64 =
            sqlx::query_scalar("select count(*) from process_timers where process = 'settlement'")
                .fetch_one(&database)
                .await
                .expect("a query");
        (left == 0).then_some(())
    })
    .await;
    let paid = pay(&customer, &path, &key(), "tok_ok").await;
    assert_eq!(paid.expect(StatusCode::CREATED)["status"], "captured");
}

#[tokio::test]
async fn another_card_calls_an_open_page_off_and_what_was_approved_there_counts() {
    let (shop, gomall) = shop().await;
    let visitor = shop.visitor(&gomall);
    let page = |placed: &Answer| {
        let url = placed.body["payment"]["action"]["url"].as_str().expect("where to go").to_owned();
        url.strip_prefix(&gomall.url).expect("a page of the shop's own address").to_owned()
    };

    let (customer, placed, path) = order(&shop, &gomall, Some("tok_action_required")).await;
    let another = key();
    let paid = pay(&customer, &path, &another, "tok_ok").await;
    assert_eq!(paid.expect(StatusCode::CREATED)["status"], "captured");
    let late = visitor.post(&page(&placed), &json!({"outcome": "approve"})).await;
    late.expect(StatusCode::CONFLICT);
    let again = pay(&customer, &path, &another, "tok_ok").await;
    assert_eq!(again.expect(StatusCode::CREATED), &paid.body);
    let order = customer.get_once_at(&path, paid.position()).await;
    assert_eq!(order.expect(StatusCode::OK)["status"], "paid");

    let (customer, placed, path) = self::order(&shop, &gomall, Some("tok_action_required")).await;
    visitor.post(&page(&placed), &json!({"outcome": "approve"})).await.expect(StatusCode::OK);
    pay(&customer, &path, &key(), "tok_ok").await.refused(409, "order_not_payable");
    eventually("the order is paid, once", || async {
        (customer.get(&path).await.body["status"] == "paid").then_some(())
    })
    .await;
    let staff = staff(&shop, &gomall).await;
    let order_id = path.rsplit('/').next().expect("an id");
    let payments = staff.get(&format!("/api/v1/admin/payments?order_id={order_id}")).await;
    let payments = payments.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    assert_eq!(payments.len(), 1, "no second charge");
    assert_eq!(
        payments[0]["captured"],
        json!([{"amount": usd(PRICE), "orphaned": usd(0), "code": null}])
    );
}
