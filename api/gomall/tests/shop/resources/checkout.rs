//! From the cart to an order.

use super::Resource;
use super::cart::shopper;
use crate::conventions::{Keyed, Scene};
use crate::support::{Answer, Person, Shop, checkout_body, key};
use compose::testing::eventually;
use futures::FutureExt;
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ..Resource::NONE };

/// Somebody orders what is in the cart, and pays with `token` at once if there is one.
pub(crate) async fn of_a_shopper(scene: &Scene, token: Option<&str>) -> Keyed {
    let call = Keyed::of(&shopper(scene).await, "POST /api/v1/checkouts", &[]);
    call.with(checkout_body(token))
}

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let other = checkout_body(Some("tok_declined"));
    vec![
        of_a_shopper(scene, None).await.unlike(other.clone()),
        of_a_shopper(scene, Some("tok_ok")).await.unlike(other),
    ]
}

#[tokio::test]
async fn a_cart_is_priced_ordered_and_empty_afterwards() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    let (checkouts, quotes) = ("/api/v1/checkouts", "/api/v1/checkouts/quote");
    customer.post(quotes, &checkout_body(None)).await.refused(422, "cart_empty");
    let added = customer.add("notebook", 2).await;
    let total = json!({"amount": 1980, "currency": "USD"});

    let quote = customer.post(quotes, &checkout_body(None)).await;
    assert_eq!(quote.expect(StatusCode::OK)["totals"]["total"], total);
    assert_eq!(seen_again(&customer, &added).await, added.body, "it had no effect");

    // What was seen is what is ordered, or nothing.
    let seen = |version: &Value, cents: i64| {
        let mut body = checkout_body(None);
        body["cart_version"] = version.clone();
        body["expected_total"] = json!({"amount": cents, "currency": "USD"});
        body
    };
    let version = &added.body["version"];
    let dear = customer.post_keyed(checkouts, &key(), &seen(version, 1)).await;
    dear.refused(409, "price_changed");
    let moved = customer.post_keyed(checkouts, &key(), &seen(&json!(0), 1980)).await;
    moved.refused(409, "cart_changed");
    customer.post(checkouts, &seen(version, 1980)).await.refused(400, "idempotency_key_missing");
    let placed = customer.post_keyed(checkouts, &key(), &seen(version, 1980)).await;
    let order = &placed.expect(StatusCode::CREATED)["order"];
    assert_eq!((&order["totals"]["total"], &order["status"]), (&total, &json!("awaiting_payment")));
    let id = order["id"].as_str().expect("an id");
    assert_eq!(placed.header("location"), Some(&*format!("/api/v1/orders/{id}")));
    assert_eq!(placed.body["payment"], Value::Null);

    let cart = customer.get_once_at("/api/v1/me/cart", placed.position()).await;
    assert_eq!(cart.expect(StatusCode::OK)["lines"], json!([]));
    assert_eq!(scene.events_of("order", id).await, ["OrderPlaced"]);
    let again = customer.post_keyed(checkouts, &key(), &checkout_body(None)).await;
    again.refused(422, "cart_empty");
}

#[tokio::test]
async fn more_than_there_is_is_not_ordered_and_stays_in_the_cart() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    let (sku, _) = super::admin::products::on_sale(&scene, 1).await;
    let added = customer.add(&sku, 2).await;
    added.expect(StatusCode::OK);
    let refused = customer.check_out(&key(), None).await;
    let short = json!([{"sku": sku, "requested": 2, "available": 1}]);
    assert_eq!(refused.refused(409, "out_of_stock")["lines"], short);
    let mut stays = added.body.clone();
    stays["lines"][0]["notice"] = json!("short");
    assert_eq!(seen_again(&customer, &added).await, stays);
}

/// The cart as it can be read after what was done to it last.
async fn seen_again(customer: &Person, last: &Answer) -> Value {
    customer.get_once_at("/api/v1/me/cart", last.position()).await.body
}

/// As many as somebody sent to a stranger in a second, see the bound in `commands/src/checkout/holds.rs`.
const CHECKOUTS: usize = 150;
const MOST: usize = 20;

fn is_placed(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        201 => true,
        // So many requests at once are too many for one user as well.
        429 if answer.body["code"] == "rate_limited" => false,
        429 => {
            answer.refused(429, "too_many_open_orders");
            assert_eq!(answer.header("retry-after"), Some("60"));
            false
        }
        // Another one was faster with the same cart.
        409 | 422 | 503 => false,
        _ => panic!("{}", answer.text),
    }
}

#[tokio::test]
async fn of_a_hundred_and_fifty_checkouts_to_a_stranger_a_few_are_placed_until_one_is_paid() {
    let shop = Shop::new().await;
    let limited = [("GOMALL_LIMITS", "on")];
    let replicas = [shop.serve_with(&limited), shop.serve_with(&limited)];
    let customer = shop.customer(&replicas[0]).await;
    let at = replicas.each_ref().map(|replica| customer.at(replica));
    let waves = (0..10).map(|wave| {
        let person = &at[wave % 2];
        async move {
            let mut placed = vec![];
            for _ in 0..CHECKOUTS / 10 {
                person.add("notebook", 1).await;
                let answer = person.check_out(&key(), None).await;
                if is_placed(&answer) {
                    placed.push(answer.body["order"]["id"].as_str().expect("an id").to_owned());
                }
            }
            placed
        }
    });
    let placed: Vec<_> = join_all(waves).await.into_iter().flatten().collect();
    assert!(placed.len() <= MOST, "{}", placed.len());

    // What contention has left free is taken by whoever comes alone.
    let mut open = placed;
    loop {
        let added = customer.add("notebook", 1).await;
        added.expect(StatusCode::OK);
        let answer = customer.check_out(&key(), None).await;
        if answer.body["code"] == "too_many_open_orders" {
            break;
        }
        assert!(is_placed(&answer), "{}", answer.text);
        open.push(answer.body["order"]["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(open.len(), MOST);

    let pay = json!({"method": "card", "token": "tok_ok"});
    let path = format!("/api/v1/orders/{}/payments", open[0]);
    customer.post_keyed(&path, &key(), &pay).await.expect(StatusCode::CREATED);
    eventually("the place of the order that was paid is free", async || {
        (customer.check_out(&key(), None).await.status == StatusCode::CREATED).then_some(())
    })
    .await;
    customer.add("notebook", 1).await;
    let refused = customer.check_out(&key(), None).await;
    refused.refused(429, "too_many_open_orders");

    let replay = key();
    let paid = shop.customer(&replicas[0]).await;
    paid.add("notebook", 1).await;
    paid.check_out(&replay, None).await.expect(StatusCode::CREATED);
    let again = paid.check_out(&replay, None).await;
    again.expect(StatusCode::CREATED);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}
