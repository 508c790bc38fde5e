use crate::support::Shop;
use async_nats::jetstream::stream;
use compose::testing::eventually;
use nats::consumer::{Consumer, ConsumerConfig, Delivery, Handler, Settled};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{Journal, new_id};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EVENTS: &[(&str, &str)] = &[("order", "OrderPaid")];

/// Remembers what it was handed.
#[derive(Default)]
pub(crate) struct Seen {
    positions: Mutex<Vec<u64>>,
    payloads: Mutex<Vec<String>>,
    /// How often to put off each event before it is done.
    put_off: u64,
}

impl Seen {
    fn positions(&self) -> Vec<u64> {
        self.positions.lock().expect("not poisoned").clone()
    }

    pub(crate) fn sorted(&self) -> Vec<u64> {
        let mut positions = self.positions();
        positions.sort_unstable();
        positions
    }
}

impl Handler for Seen {
    async fn handle(&self, delivery: &Delivery) -> Settled {
        let data = delivery.event.data.as_deref().map_or("", |data| data.get()).to_owned();
        self.positions.lock().expect("not poisoned").push(delivery.event.position.get());
        self.payloads.lock().expect("not poisoned").push(data);
        if delivery.delivered <= self.put_off {
            Settled::Again { after: Duration::from_millis(10) }
        } else {
            Settled::Done
        }
    }
}

pub(crate) struct Working {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Working {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends in order");
    }
}

pub(crate) fn start(shop: &Shop, seen: &Arc<Seen>) -> Working {
    let config = ConsumerConfig {
        name: "seer".into(),
        stream: shop.stream.clone(),
        events: EVENTS.to_vec(),
        concurrency: 8,
        ack_wait: Duration::from_secs(30),
    };
    let consumer: Consumer<Journal> =
        Consumer::new(Arc::clone(&shop.journal), shop.pool.clone(), shop.client.clone(), config);
    let stop = CancellationToken::new();
    let task = tokio::spawn(consumer.run(Arc::clone(seen), stop.clone()));
    Working { stop, task }
}

/// Appends events that are wanted, each with one before it that is not.
pub(crate) fn append_paid(shop: &Shop, count: u64) -> Vec<u64> {
    (0..count)
        .map(|_| {
            shop.append_many(1);
            shop.append(new_id(), "OrderPaid", "{}").position.get()
        })
        .collect()
}

async fn cursor(shop: &Shop) -> i64 {
    sqlx::query_scalar("select coalesce(max(position), 0) from consumer_positions")
        .fetch_one(&shop.pool)
        .await
        .expect("the table is there")
}

#[tokio::test]
async fn every_wanted_event_is_handled_once_also_after_a_restart() {
    let shop = Shop::open().await;
    let _relay = shop.start_relay();
    let seen = Arc::new(Seen::default());
    let mut wanted = append_paid(&shop, 50);
    let working = start(&shop, &seen);
    eventually("all are handled", async || seen.sorted() == wanted).await;
    working.stop().await;
    wanted.extend(append_paid(&shop, 20));
    let working = start(&shop, &seen);
    eventually("the new ones are handled", async || seen.sorted().len() >= wanted.len()).await;
    assert_eq!(seen.sorted(), wanted);
    working.stop().await;
}

#[tokio::test]
async fn an_event_that_is_put_off_comes_again_and_holds_up_no_other() {
    let shop = Shop::open().await;
    let _relay = shop.start_relay();
    let seen = Arc::new(Seen { put_off: 2, ..Seen::default() });
    let wanted = append_paid(&shop, 20);
    let working = start(&shop, &seen);
    eventually("each was handed over three times", async || seen.positions().len() == 60).await;
    let thrice: Vec<u64> = wanted.iter().flat_map(|position| [*position; 3]).collect();
    assert_eq!(seen.sorted(), thrice);
    working.stop().await;
}

#[tokio::test]
async fn a_wiped_stream_delivers_nothing_again_that_is_below_the_cursor() {
    let shop = Shop::open().await;
    let _relay = shop.start_relay();
    let seen = Arc::new(Seen::default());
    let mut wanted = append_paid(&shop, 30);
    let working = start(&shop, &seen);
    eventually("all are handled", async || seen.sorted() == wanted).await;
    let last = shop.journal.head().bigint();
    eventually("the cursor is saved", async || cursor(&shop).await == last).await;

    shop.jetstream.delete_stream(&shop.stream.name).await.expect("it is there");
    shop.is_published().await;
    wanted.extend(append_paid(&shop, 5));
    eventually("the new ones are handled", async || seen.sorted().len() >= wanted.len()).await;
    assert_eq!(seen.sorted(), wanted);
    working.stop().await;
}

#[tokio::test]
async fn what_a_stream_lacks_in_front_comes_from_the_journal() {
    let shop = Shop::open().await;
    let mut wanted = append_paid(&shop, 20);
    let config = stream::Config {
        name: shop.stream.name.clone(),
        subjects: vec![shop.stream.all_subjects()],
        first_sequence: Some(31),
        ..stream::Config::default()
    };
    shop.jetstream.create_stream(config).await.expect("nobody else made it");
    for event in shop.journal.events().iter().skip(30) {
        let mut body = Vec::new();
        nats::write_public_event(event, &mut body);
        let subject = shop.stream.subject(&event.aggregate_type, &event.event_type);
        let stored = shop.jetstream.publish(subject, body.into()).await.expect("connected").await;
        assert_eq!(stored.expect("it is stored").sequence, event.position.get());
    }
    let seen = Arc::new(Seen::default());
    let working = start(&shop, &seen);
    eventually("all are handled", async || seen.positions().len() >= wanted.len()).await;
    wanted.sort_unstable();
    assert_eq!(seen.sorted(), wanted);
    working.stop().await;
}

#[tokio::test]
async fn events_of_a_history_that_took_the_place_of_another_are_handled_below_the_old_cursor() {
    let shop = Shop::open().await;
    let relay = shop.start_relay();
    let seen = Arc::new(Seen::default());
    let wanted = append_paid(&shop, 20);
    let working = start(&shop, &seen);
    eventually("all are handled", async || seen.sorted() == wanted).await;
    eventually("the cursor is saved", async || cursor(&shop).await == 40).await;
    drop(relay);

    // The standby that took over had only thirty events, and has ten others by now.
    let fork = shop.with_journal(&shop.journal.part(..=30));
    let new = append_paid(&fork, 3);
    nats::epoch::begin_anew(&fork.pool).await.expect("the repair");
    fork.jetstream.delete_stream(&fork.stream.name).await.expect("the repair");
    let _relay = fork.start_relay();
    working.stop().await;
    let after = Arc::new(Seen::default());
    let working = start(&fork, &after);
    let all: Vec<u64> = wanted.into_iter().filter(|position| *position <= 30).chain(new).collect();
    eventually("they are handled", async || after.sorted() == all).await;
    eventually("the cursor is of the new history", async || cursor(&fork).await == 36).await;
    working.stop().await;
}

#[tokio::test]
async fn a_stream_of_another_epoch_is_not_read() {
    let shop = Shop::open().await;
    let relay = shop.start_relay();
    let _wanted = append_paid(&shop, 5);
    shop.is_published().await;
    drop(relay);
    nats::epoch::begin_anew(&shop.pool).await.expect("somebody decided so");
    let seen = Arc::new(Seen::default());
    let working = start(&shop, &seen);
    let relay = shop.start_relay();
    // The relay leaves it alone as well, until somebody deletes it.
    let mut status = relay.status.clone();
    let diverged =
        |status: &nats::RelayStatus| matches!(status.state, nats::RelayState::Diverged(_));
    status.wait_for(diverged).await.expect("the relay runs");
    assert_eq!(seen.sorted(), [] as [u64; 0]);
    shop.jetstream.delete_stream(&shop.stream.name).await.expect("the repair");
    eventually("it is read", async || seen.sorted().len() == 5).await;
    working.stop().await;
}

#[tokio::test]
async fn two_processes_share_the_events() {
    let shop = Shop::open().await;
    let _relay = shop.start_relay();
    let seen = Arc::new(Seen::default());
    let working = [start(&shop, &seen), start(&shop, &seen)];
    let wanted = append_paid(&shop, 100);
    eventually("all are handled", async || seen.positions().len() >= wanted.len()).await;
    assert_eq!(seen.sorted(), wanted);
    for working in working {
        working.stop().await;
    }
}

#[tokio::test]
async fn an_oversized_event_is_handed_over_whole() {
    let shop = Shop::open().await;
    let _relay = shop.start_relay();
    let large = format!(r#"{{"payment_id":"{}"}}"#, "x".repeat(shop.client.max_payload()));
    shop.append(new_id(), "OrderPaid", &large);
    let seen = Arc::new(Seen::default());
    let working = start(&shop, &seen);
    eventually("it is handled", async || seen.positions() == [1]).await;
    assert_eq!(*seen.payloads.lock().expect("not poisoned"), [large]);
    working.stop().await;
}
