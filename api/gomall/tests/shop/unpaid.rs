//! Orders that nobody pays, at processes that are killed in the middle of giving them up.

use crate::support::process::Starting;
use crate::support::{Gomall, Person, Shop, key};
use compose::testing::eventually;
use reqwest::StatusCode;
use sqlx::{PgPool, Postgres, Transaction};
use std::collections::BTreeSet;

const ORDERS: usize = 12;

const TIMERS: &str = "process_timers where process = 'unpaid_orders'";
const CANCELLED: &str = "events where event_type = 'OrderCancelled'";

/// Processes at once.
const PROCESSES: usize = 3;

/// Time goes by for orders in the journal: what a process remembers of them would not notice.
async fn time_goes_by(pool: &PgPool) {
    sqlx::query(
        "update events set payload = jsonb_set(payload::jsonb, '{pay_by}', to_jsonb( \
           to_char(recorded_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::json \
          where event_type = 'OrderPlaced'",
    )
    .execute(pool)
    .await
    .expect("a payload is JSON");
    all_are_due(pool).await;
}

/// The leases of those who were killed are over, too.
async fn all_are_due(pool: &PgPool) {
    sqlx::query(
        "update process_timers set due_at = clock_timestamp() where process = 'unpaid_orders'",
    )
    .execute(pool)
    .await
    .expect("a statement");
}

/// A transaction of the test's that others wait for.
async fn holds(pool: &PgPool, lock: &str) -> Transaction<'static, Postgres> {
    let mut holding = pool.begin().await.expect("it is up");
    sqlx::query(lock).execute(&mut *holding).await.expect("nobody keeps it for long");
    holding
}

/// Waits until as many are there of something.
async fn become_many(pool: &PgPool, least: i64, of: &str) {
    eventually(of, async || (count(pool, of).await >= least).then_some(())).await;
}

async fn count(pool: &PgPool, of: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {of}"))
        .fetch_one(pool)
        .await
        .expect("a query")
}

fn start(shop: &Shop) -> [Starting; PROCESSES] {
    [(); PROCESSES].map(|()| Gomall::spawn(shop.command(&["serve", "--http", "127.0.0.1:0"], &[])))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_nobody_pays_are_given_up_once_whoever_is_killed_at_whatever_point() {
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
    become_many(&pool, ORDERS as i64, TIMERS).await;
    gomall.kill9();
    time_goes_by(&pool).await;

    // Killed with the timers taken, and nothing appended.
    let append = format!("select pg_advisory_xact_lock({})", domain::locks::APPEND);
    let holding = holds(&pool, &append).await;
    let processes = start(&shop);
    become_many(&pool, ORDERS as i64, &format!("{TIMERS} and attempts > 0")).await;
    become_many(&pool, 1, "pg_locks where locktype = 'advisory' and not granted").await;
    drop(processes);
    // The server would notice a little later that nobody waits for them any more.
    sqlx::query(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
          where application_name = 'gomall journal'",
    )
    .execute(&pool)
    .await
    .expect("we are superuser");
    holding.rollback().await.expect("it is up");
    assert_eq!(count(&pool, CANCELLED).await, 0);

    // Killed when some orders are cancelled, and none of the timers is settled.
    all_are_due(&pool).await;
    let holding = holds(&pool, &append).await;
    let processes = start(&shop);
    become_many(&pool, ORDERS as i64, &format!("{TIMERS} and attempts > 1")).await;
    let unsettled = holds(&pool, "lock table process_timers in share mode").await;
    holding.rollback().await.expect("it is up");
    become_many(&pool, 1, CANCELLED).await;
    drop(processes);
    assert_eq!(count(&pool, TIMERS).await, ORDERS as i64);
    unsettled.rollback().await.expect("it is up");

    all_are_due(&pool).await;
    let [gomall, ..] = start(&shop).map(Starting::ready);
    eventually("no timer is left", async || (count(&pool, TIMERS).await == 0).then_some(())).await;
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
