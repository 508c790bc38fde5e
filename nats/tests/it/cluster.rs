//! A stream with three replicas, on a cluster of the test's own that loses one node after the other.

use crate::consumer::{Seen, append_paid, start};
use crate::support::Shop;
use compose::NatsCluster;
use compose::testing::eventually;
use nats::StreamConfig;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::pool;
use tokio_util::sync::{CancellationToken, DropGuard};

const NODES: usize = 3;
/// How long publishing may stand still after a node was killed. The servers' election takes four to
/// nine seconds, and on a busy machine a second one may be needed.
const STALL: Duration = Duration::from_secs(25);
/// How often a burst is appended, so that many events are on their way whenever a node dies.
const APPEND_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::test]
async fn each_of_three_nodes_is_killed_in_turn_and_nothing_is_lost_or_doubled() {
    let cluster = compose::testing::private_cluster().await;
    let stream = StreamConfig { replicas: NODES, ..StreamConfig::default() };
    let shop = Shop::on(pool().await, &cluster.url(), stream).await;
    let mut relay = shop.start_relay();
    let seen = Arc::new(Seen::default());
    let consumer = start(&shop, &seen);
    append_paid(&shop, 100);
    shop.is_published().await;
    let appending = keep_appending(&shop);

    let leader = leader(&cluster, &shop).await;
    let mut stalls = Vec::new();
    for node in (0..NODES).map(|turn| (leader + turn) % NODES) {
        cluster.nodes()[node].kill9().await;
        let killed = Instant::now();
        // What is appended after the kill cannot have been acknowledged before.
        let head = shop.journal.head();
        let published = relay.status.wait_for(|status| status.published_position > Some(head));
        let published = tokio::time::timeout(STALL, published).await;
        published.expect("publishing goes on in time").expect("the relay runs");
        stalls.push(killed.elapsed());
        cluster.nodes()[node].start().await.expect("the same ports and store");
        eventually("the cluster is whole again", async || cluster.is_whole().await).await;
    }
    drop(appending);
    // For whoever looks with `--nocapture`.
    eprintln!("publishing stood still for {stalls:?}; {} events", shop.journal.head());

    shop.is_published().await;
    let events = shop.journal.events();
    let wanted = events.iter().filter(|event| event.event_type == "OrderPaid");
    let wanted: Vec<u64> = wanted.map(|event| event.position.get()).collect();
    eventually("the consumer has everything", async || {
        let mut positions = seen.sorted();
        positions.dedup();
        positions == wanted
    })
    .await;
    consumer.stop().await;
    cluster.stop().await;
}

async fn leader(cluster: &NatsCluster, shop: &Shop) -> usize {
    eventually("somebody leads the stream", async || cluster.leader_of(&shop.stream.name).await)
        .await
}

/// Appends until the guard is dropped.
fn keep_appending(shop: &Shop) -> DropGuard {
    let stop = CancellationToken::new();
    let (stopped, shop) = (stop.clone(), shop.with_journal(&shop.journal));
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(APPEND_INTERVAL);
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            append_paid(&shop, 10);
        }
    });
    stop.drop_guard()
}
