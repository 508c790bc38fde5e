//! Orders that nobody pays, at processes that are killed in the middle of giving them up.

use crate::support::process::Starting;
use crate::support::{Gomall, Person, Shop, key};
use compose::testing::eventually;
use reqwest::StatusCode;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::time::Duration;

const ORDERS: usize = 12;

/// Between two orders whose time is over: somebody is killed in between.
const APART_MS: i64 = 250;

/// How long somebody lives, one after the other: shorter than a start, about as long as one, longer.
const LIVES_MS: [u64; 9] = [700, 40, 900, 350, 1_100, 150, 800, 500, 1_000];

/// Time goes by for orders in the journal: what a process remembers of them would not notice.
async fn time_goes_by(pool: &PgPool) {
    let rows = [
        "update events set payload = jsonb_set(payload::jsonb, '{pay_by}', to_jsonb( \
           to_char(recorded_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::json \
          where event_type = 'OrderPlaced'",
        "with one as (select key, row_number() over (order by key) as number from process_timers \
                       where process = 'unpaid_orders') \
         update process_timers timer \
            set due_at = clock_timestamp() + one.number * $1 * interval '1 millisecond' \
           from one where timer.process = 'unpaid_orders' and timer.key = one.key",
    ];
    sqlx::query(rows[0]).execute(pool).await.expect("a payload is JSON");
    sqlx::query(rows[1]).bind(APART_MS).execute(pool).await.expect("a statement");
}

/// The leases of those who were killed are over.
async fn leases_end(pool: &PgPool) {
    sqlx::query(
        "update process_timers set due_at = clock_timestamp() \
          where process = 'unpaid_orders' and attempts > 0",
    )
    .execute(pool)
    .await
    .expect("a statement");
}

async fn count(pool: &PgPool, of: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {of}"))
        .fetch_one(pool)
        .await
        .expect("a query")
}

fn start(shop: &Shop) -> Starting {
    Gomall::spawn(shop.command(&["serve", "--http", "127.0.0.1:0"], &[]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_nobody_pays_are_given_up_once_whoever_is_killed_meanwhile() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let mut customers: Vec<Person> = vec![];
    for _ in 0..ORDERS {
        let customer = shop.customer(&gomall).await;
        customer.add("notebook", 2).await.expect(StatusCode::OK);
        customer.check_out(&key(), None).await.expect(StatusCode::CREATED);
        customers.push(customer);
    }
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    eventually("each has its timer", async || {
        let timers = count(&pool, "process_timers where process = 'unpaid_orders'").await;
        (timers == ORDERS as i64).then_some(())
    })
    .await;
    gomall.kill9();
    time_goes_by(&pool).await;

    let mut processes = [start(&shop), start(&shop), start(&shop)];
    for (number, life) in LIVES_MS.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(life)).await;
        // The one before is killed as it is dropped.
        processes[number % 3] = start(&shop);
        leases_end(&pool).await;
    }
    eventually("all are given up", async || {
        leases_end(&pool).await;
        let left = count(&pool, "process_timers where process = 'unpaid_orders'").await;
        (left == 0).then_some(())
    })
    .await;
    let [one, ..] = processes;
    let gomall = one.ready();
    let cancelled: Vec<String> =
        sqlx::query_scalar("select aggregate_id from events where event_type = 'OrderCancelled'")
            .fetch_all(&pool)
            .await
            .expect("a query");
    assert_eq!(cancelled.len(), ORDERS);
    assert_eq!(cancelled.iter().collect::<BTreeSet<_>>().len(), ORDERS, "each of them once");
    let released = count(&pool, "events where event_type = 'StockReleased'").await;
    assert_eq!(released, ORDERS as i64, "its stock with it");
    let head = count(&pool, "events").await.unsigned_abs();
    for customer in customers {
        let cart = customer.at(&gomall).get_once_at("/api/v1/me/cart", head).await;
        let lines = cart.expect(StatusCode::OK)["lines"].as_array().expect("a list").clone();
        let quantities: Vec<_> = lines.iter().map(|line| line["quantity"].as_u64()).collect();
        assert_eq!(quantities, [Some(2)], "and its cart, once: {}", cart.text);
    }
}
