//! Clients that leave in the middle of a request.

mod support;

use commands::bus::Plan;
use commands::journal::Appended;
use domain::stock::{StockCommand, StockItem};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Database, append, context};
use testkit::{new_id, sku};

/// `GOMALL_DROP_SECONDS` makes it as long as one likes; by default every client gives up a few times.
#[tokio::test]
async fn dropped_requests_harm_no_connection_and_lose_nothing_acknowledged() {
    let seconds = std::env::var("GOMALL_DROP_SECONDS").map_or(1, |text| {
        text.parse().unwrap_or_else(|_| panic!("GOMALL_DROP_SECONDS is a number, not {text:?}"))
    });
    let end = Instant::now() + Duration::from_secs(seconds);
    let database = Database::new().await;
    let bus = Arc::new(database.bus());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..32_u64 {
        let bus = Arc::clone(&bus);
        clients.spawn(async move {
            let mut acknowledged = vec![];
            // Gives up after a few polls, at a different point each time.
            for round in (0..).take_while(|round| *round < 10 || Instant::now() < end) {
                let (command, event_id) = append(&format!("d{client}-{round}"), 1, None);
                let polls = (client * 7 + round * 3) % 11;
                let done = give_up_after(polls, bus.journal().append(command)).await;
                if matches!(done, Some(Ok(Appended::Done { .. }))) {
                    acknowledged.push(event_id);
                }
                let sku = sku(&format!("D{client}-{round}"));
                let open = StockCommand::Open { product_id: new_id() };
                let plan = Plan::new(&context()).step::<StockItem>(&sku, open);
                if let Some(Ok(done)) = give_up_after(polls, bus.execute(plan)).await {
                    acknowledged.extend(done.loaded::<StockItem>(0).head);
                }
                give_up_after(polls % 4, bus.load::<StockItem>(&sku)).await;
            }
            acknowledged
        });
    }
    let mut acknowledged = HashSet::new();
    let mut looks = 0;
    loop {
        // A transaction that nobody ends stays open: no look comes too late.
        let idle: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
             where datname = current_database() and state like 'idle in transaction%' \
                and (application_name <> 'gomall journal' \
                     or xact_start < clock_timestamp() - interval '2 seconds')",
        )
        .fetch_one(&database.pool)
        .await
        .expect("the pool's connections are of use");
        assert_eq!(idle, 0, "a request left a transaction open");
        looks += 1;
        match tokio::time::timeout(Duration::from_millis(10), clients.join_next()).await {
            Ok(Some(client)) => acknowledged.extend(client.expect("no client panics")),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    // Whatever is still queued goes before this one.
    let (last, _) = append("last", 1, None);
    bus.journal().append(last).await.expect("the journal is up");
    database.assert_gap_free().await;
    let stored: HashSet<_> =
        database.events().await.into_iter().map(|(_, _, _, event_id)| event_id).collect();
    println!("{} acknowledged, {} stored, {looks} looks", acknowledged.len(), stored.len());
    assert!(acknowledged.is_subset(&stored), "acknowledged, and not there");
    assert!(!acknowledged.is_empty() && acknowledged.len() + 1 < stored.len());
}

/// Drops the request when it is still pending after so many polls.
async fn give_up_after<T>(mut polls: u64, request: impl Future<Output = T>) -> Option<T> {
    let mut request = Box::pin(request);
    std::future::poll_fn(|cx| {
        let polled = request.as_mut().poll(cx).map(Some);
        if polled.is_pending() {
            if polls == 0 {
                return std::task::Poll::Ready(None);
            }
            polls -= 1;
            cx.waker().wake_by_ref();
        }
        polled
    })
    .await
}
