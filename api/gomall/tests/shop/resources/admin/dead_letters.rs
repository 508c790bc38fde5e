//! Events that were not taken in.

use crate::resources::Resource;
use crate::support;
use crate::support::{Person, Shop, key};
use compose::testing::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

pub(super) const RESOURCE: Resource = Resource {
    keeps_none: &[
        ("DELETE /api/v1/admin/dead-letters/{id}", APPENDS_NOTHING),
        ("POST /api/v1/admin/dead-letters/{id}/retry", APPENDS_NOTHING),
    ],
    ..Resource::NONE
};

const APPENDS_NOTHING: &str =
    "a decision about a dead letter appends nothing that a key could be kept with";

/// Puts an event at the journal's end as no build would write it.
async fn record(pool: &PgPool, payment: &str, sequence: i64, event_type: &str) -> i64 {
    sqlx::query_scalar(
        "insert into events (position, aggregate_type, aggregate_id, sequence, event_type, \
                             event_version, payload, metadata, event_id, recorded_at) \
         select max(position) + 1, 'payment', $1, $2, $3, '1', '{}', '{}', $4, max(recorded_at) \
         from events returning position",
    )
    .bind(payment)
    .bind(sequence)
    .bind(event_type)
    .bind(support::new_id())
    .fetch_one(pool)
    .await
    .expect("nobody else writes")
}

/// Waits until these are the dead letters: id, status, attempts.
async fn shows(admin: &Person, expected: &[String]) {
    let text = |letter: &Value, name: &str| letter[name].as_str().unwrap_or("-").to_owned();
    eventually(&format!("{expected:?}"), || async {
        let answer = admin.get("/api/v1/admin/dead-letters").await;
        let letters = answer.expect(StatusCode::OK)["items"].as_array().expect("a list");
        let shown = letters.iter().map(|letter| {
            let retrying = if letter["retrying"] == true { " retrying" } else { "" };
            let (id, status) = (text(letter, "id"), text(letter, "status"));
            format!("{id} {status} {}{retrying}", letter["attempts"])
        });
        (shown.collect::<Vec<_>>() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_shown_tried_again_and_given_up() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    let payment = support::new_id().to_string();
    let failed = record(&pool, &payment, 1, "PaymentRequested").await;
    let waiting = record(&pool, &payment, 2, "PaymentVoided").await;
    // Whoever reads the payments cannot read this one: the orders and settlement.
    shows(
        &admin,
        &[
            format!("orders.{failed} failed 1"),
            format!("orders.{waiting} waiting 0"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    let page = admin.get("/api/v1/admin/dead-letters?limit=1").await;
    let letter = &page.expect(StatusCode::OK)["items"][0];
    assert_eq!(
        (
            &letter["consumer"],
            &letter["position"],
            &letter["aggregate_id"],
            &letter["ordering_key"]
        ),
        (&json!("orders"), &json!(failed), &json!(payment), &json!(format!("payment/{payment}")))
    );
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("PaymentRequested")));
    let cursor = page.body["next_cursor"].as_str().expect("there are more");
    let next = admin.get(&format!("/api/v1/admin/dead-letters?limit=1&cursor={cursor}")).await;
    assert_eq!(next.expect(StatusCode::OK)["items"][0]["id"], format!("orders.{waiting}"));
    let models = admin.get("/api/v1/admin/projections").await;
    let models = models.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let orders = models.iter().find(|model| model["name"] == "orders").expect("it is there");
    assert_eq!((&orders["status"], &orders["lag"]), (&json!("partly_parked"), &json!(0)));
    eventually("they are counted", || async {
        let metrics = admin.get("/metrics").await;
        let lines = ["gomall_dead_letters{consumer=\"orders\"} 2", "{consumer=\"carts\"} 0"];
        lines.iter().all(|line| metrics.text.contains(line)).then_some(())
    })
    .await;
    // Everything else goes on, and is read at its position.
    customer.add("mascot", 1).await.expect(StatusCode::OK);
    let order = customer.check_out(&key(), None).await;
    let (position, id) =
        (order.position(), order.expect(StatusCode::CREATED)["order"]["id"].clone());
    let path = format!("/api/v1/orders/{}", id.as_str().expect("an id"));
    customer.get_once_at(&path, position).await.expect(StatusCode::OK);

    let letter = |id: &str| format!("/api/v1/admin/dead-letters/{id}");
    let orders = letter(&format!("orders.{failed}"));
    customer.post(&format!("{orders}/retry"), &json!({})).await.refused(403, "forbidden");
    customer.delete(&orders).await.refused(403, "forbidden");
    for unknown in ["orders.1", "orders.01", "nonsense", "nobody.1"] {
        let retry = format!("{}/retry", letter(unknown));
        admin.post(&retry, &json!({})).await.refused(404, "not_found");
        admin.delete(&letter(unknown)).await.refused(404, "not_found");
    }
    let waits = letter(&format!("orders.{waiting}"));
    admin.delete(&waits).await.refused(409, "dead_letter_waits");
    // Without a cure a retry changes nothing but the count; asked by the last letter of the ordering key.
    let retried = admin.post(&format!("{waits}/retry"), &json!({})).await;
    retried.expect(StatusCode::ACCEPTED);
    shows(
        &admin,
        &[
            format!("orders.{failed} failed 2"),
            format!("orders.{waiting} waiting 0"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    // What is given up has no effect here; what waited behind it cannot do without it, and says so.
    let given_up = admin.delete(&orders).await;
    given_up.expect(StatusCode::NO_CONTENT);
    admin.delete(&orders).await.expect(StatusCode::NO_CONTENT);
    admin.post(&format!("{orders}/retry"), &json!({})).await.refused(409, "dead_letter_given_up");
    shows(
        &admin,
        &[
            format!("orders.{failed} given_up 3"),
            format!("orders.{waiting} failed 1"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    // A cure (here another event, usually another build) comes with a restart. Where HTTP is away,
    // the same is asked for by command.
    gomall.terminate();
    sqlx::query("update events set payload = $1::json where position = $2")
        .bind(
            json!({
                "order_id": support::new_id(), "customer_id": support::new_id(), "method": "card",
                "amount": {"amount": 990, "currency": "USD"},
            })
            .to_string(),
        )
        .bind(failed)
        .execute(&pool)
        .await
        .expect("nobody else mends it");
    shop.run(&["dead-letters", "retry", &format!("settlement.{failed}")]);
    let gomall = shop.serve();
    let admin = admin.at(&gomall);
    shows(&admin, &[format!("orders.{failed} given_up 3"), format!("orders.{waiting} failed 1")])
        .await;
    let listed = shop.run(&["dead-letters", "list"]);
    assert!(
        listed.starts_with(&format!("orders.{failed}  given up  PaymentRequested")),
        "{listed}"
    );
    shop.run(&["dead-letters", "give-up", &format!("orders.{waiting}")]);
    shows(&admin, &[format!("orders.{failed} given_up 3"), format!("orders.{waiting} given_up 2")])
        .await;
    // A rebuild by a build that can apply them after all takes them in.
    shop.run(&["rebuild", "orders"]);
    shows(&admin, &[]).await;
    pool.close().await;
}
