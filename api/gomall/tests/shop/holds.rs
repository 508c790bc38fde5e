//! Stock holds and mail cannons: whoever orders and does not pay.

use crate::support::{Answer, Shop, key};
use compose::testing::eventually;
use futures::future::join_all;
use reqwest::StatusCode;

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

    let pay = serde_json::json!({"method": "card", "token": "tok_ok"});
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
