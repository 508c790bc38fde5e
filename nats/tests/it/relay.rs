use crate::support::{Shop, event};
use async_nats::jetstream::stream;
use compose::testing::{TestStack, eventually};
use domain::Position;
use nats::{RelayState, RelayStatus};
use std::time::{Duration, Instant};
use testkit::{new_id, pool};

#[tokio::test]
async fn message_n_is_event_n() {
    let shop = Shop::open().await;
    shop.append_many(1500);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    shop.append_many(3);
    shop.is_published().await;

    let stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    let config = &stream.cached_info().config;
    assert!(config.deny_delete && config.deny_purge && config.max_messages == -1);
    let message = stream.direct_get(2).await.expect("the second message");
    let event = &shop.journal.events()[1];
    assert_eq!(message.subject.as_str(), format!("{}.order.OrderAddressChanged", shop.stream.name));
    let aggregate = message.headers.get(nats::stream::AGGREGATE_ID_HEADER).expect("a header");
    assert_eq!(aggregate.as_str(), event.aggregate_id);
    relay
        .status
        .wait_for(|status| status.published_position == Some(Position::new(1503)))
        .await
        .expect("it runs");
}

#[tokio::test]
async fn a_relay_that_was_killed_anywhere_is_continued_by_the_next() {
    let shop = Shop::open().await;
    for kill_at in [1, 600, 601, 1700] {
        shop.append_many(600);
        let relay = shop.start_relay();
        eventually("it got so far", async || shop.published().await >= Some(kill_at)).await;
        drop(relay);
    }
    let _relay = shop.start_relay();
    shop.is_published().await;
}

#[tokio::test]
async fn two_relays_that_both_publish_give_every_event_once_and_in_order() {
    let shop = Shop::open().await;
    // Leases do not reach from one database into the other, so nothing but the stream keeps these
    // two apart. Both databases are copies of one, so the epoch is the same.
    let other = Shop { pool: pool().await, ..shop.with_journal(&shop.journal) };
    let mut relays = [shop.start_relay(), other.start_relay()];
    for relay in &mut relays {
        relay.publishes().await;
    }
    for _ in 0..20 {
        shop.append_many(100);
        tokio::task::yield_now().await;
    }
    shop.is_published().await;
}

/// The promise: from the end of one relay to the next published event.
const TAKE_OVER: Duration = Duration::from_secs(2);

/// A single take-over while other tests keep both cores busy.
const TAKE_OVER_WHEN_BUSY: Duration = Duration::from_secs(5);

/// How often a take-over is tried until it keeps the promise: a busy machine is not busy each time.
const TRIES: usize = 3;

async fn keeps_the_promise(take_over: impl AsyncFn() -> Duration) {
    let mut took = vec![];
    while took.last().is_none_or(|took| *took > TAKE_OVER) {
        assert!(took.len() < TRIES, "{took:?}");
        took.push(take_over().await);
    }
}

#[tokio::test]
async fn one_relay_of_a_database_publishes_and_the_other_takes_over() {
    keeps_the_promise(kill).await;
}

async fn kill() -> Duration {
    let shop = Shop::open().await;
    let mut first = shop.start_relay();
    first.publishes().await;
    let second = shop.start_relay();
    shop.append_many(10);
    shop.is_published().await;
    assert_eq!(second.status.borrow().state, RelayState::Standby);
    let killed = Instant::now();
    drop(first);
    let took = next_is_published(&shop, killed).await;
    assert_eq!(second.status.borrow().state, RelayState::Publishing);
    took
}

#[tokio::test]
async fn a_relay_whose_session_is_cut_is_followed_within_two_seconds_and_does_no_harm() {
    let shop = Shop::open().await;
    let mut holder = shop.start_relay();
    holder.publishes().await;
    let mut took = vec![];
    for cut in 0..4 {
        let mut standby = shop.start_relay();
        standby.is(|state| *state == RelayState::Standby).await;
        shop.append_many(200);
        let killed = Instant::now();
        eventually("the holder's session is ended", async || end_session(&shop).await).await;
        if cut % 2 == 0 {
            // The process goes with its session, so it is the other one that publishes.
            holder = standby;
            took.push(next_is_published(&shop, killed).await);
            assert_eq!(holder.status.borrow().state, RelayState::Publishing);
        } else {
            // Both live and race for the lease.
            took.push(next_is_published(&shop, killed).await);
            drop(standby);
            holder.publishes().await;
        }
    }
    took.sort();
    assert!(took[took.len() / 2] <= TAKE_OVER, "most of them: {took:?}");
}

#[tokio::test]
async fn a_relay_that_hangs_is_followed_within_two_seconds_and_does_no_harm_when_it_wakes() {
    keeps_the_promise(hang).await;
}

async fn hang() -> Duration {
    let shop = Shop::open().await;
    // With connections of its own: those of a pool belong to the runtime that made them.
    let options = sqlx::PgPool::connect_options(&shop.pool);
    let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy_with((*options).clone());
    let nats_url = TestStack::shared().await.nats_url();
    let (hang, hangs) = tokio::sync::oneshot::channel::<()>();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let frozen = Shop { pool, ..shop.with_journal(&shop.journal) };
    let (started, mut first) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let client = nats::connect(&nats_url, "hangs").await.expect("the address is right");
            let connect = (*frozen.pool.connect_options()).clone();
            let (relay, elections) = Shop { client, ..frozen }.relay();
            started.send(relay.status()).expect("the test waits");
            let working = tokio::spawn(async move {
                let never = tokio_util::sync::CancellationToken::new();
                tokio::join!(relay.run(never.clone()), elections.hold(connect, never));
            });
            // Blocks the only thread of this runtime, as SIGSTOP would.
            let freezing = tokio::spawn(async move {
                hangs.await.expect("the test says when");
                let _released = released.recv();
            });
            freezing.await.expect("it thaws");
            stopped.await.expect("the test says when");
            working.abort();
        });
    });
    let mut first = (&mut first).await.expect("it starts");
    first.wait_for(|it| it.state == RelayState::Publishing).await.expect("it runs");
    let mut second = shop.start_relay();
    second.is(|state| *state == RelayState::Standby).await;
    // Caught in the middle of its work.
    shop.append_many(600);
    shop.reaches(50).await;
    hang.send(()).expect("it listens");
    let hung = Instant::now();
    second.publishes().await;
    let took = next_is_published(&shop, hung).await;

    drop(release);
    let standing_by = first.wait_for(|it| it.state == RelayState::Standby).await.expect("it runs");
    assert_eq!(standing_by.published_position, None, "what it knew is not current any more");
    drop(standing_by);
    for _ in 0..5 {
        shop.append_many(100);
        shop.is_published().await;
    }
    // As a rule the second one, unless a busy machine kept it from its heartbeat.
    let publish = |relay: &RelayStatus| relay.state == RelayState::Publishing;
    eventually("one of them publishes, and not both", async || {
        publish(&first.borrow()) != publish(&second.status.borrow())
    })
    .await;
    stop.send(()).expect("it waits");
    thread.join().expect("it ends");
    took
}

/// Appends an event and checks that it is published soon enough, and everything before it too; how
/// long that took.
async fn next_is_published(shop: &Shop, killed: Instant) -> Duration {
    shop.append_many(1);
    shop.reaches(shop.journal.head().get()).await;
    let took = killed.elapsed();
    assert!(took <= TAKE_OVER_WHEN_BUSY, "took {took:?}");
    shop.check_copy().await;
    took
}

/// Ends the session in PostgreSQL that holds the relay's lease; whether there was one.
async fn end_session(shop: &Shop) -> bool {
    let ended: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
          where application_name = 'gomall elections' and datname = current_database()
            and locktype = 'advisory' and granted",
    )
    .fetch_all(&shop.pool)
    .await
    .expect("we are superuser");
    ended == [true]
}

#[tokio::test]
async fn a_deleted_stream_is_filled_again_without_anything_new_to_publish() {
    let shop = Shop::open().await;
    shop.append_many(700);
    let _relay = shop.start_relay();
    shop.is_published().await;
    shop.jetstream.delete_stream(&shop.stream.name).await.expect("it is there");
    shop.is_published().await;
}

#[tokio::test]
async fn a_stream_that_is_behind_is_caught_up() {
    let shop = Shop::open().await;
    let backup = shop.with_journal(&shop.journal.part(..=0));
    backup.append_many(40);
    for event in backup.journal.events() {
        shop.journal.append([event]);
    }
    let relay = backup.start_relay();
    backup.is_published().await;
    drop(relay);
    shop.append_many(60);
    let _relay = shop.start_relay();
    shop.is_published().await;
}

#[tokio::test]
async fn a_stream_that_lost_its_first_messages_is_filled_again_and_configured_again() {
    let shop = Shop::open().await;
    shop.append_many(50);
    let _relay = shop.start_relay();
    shop.is_published().await;
    let mut stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    let mut config = stream.info().await.expect("its state").config.clone();
    config.max_messages = 10;
    config.discard = stream::DiscardPolicy::Old;
    shop.jetstream.update_stream(config).await.expect("an administrator may");
    eventually("it is complete again", async || {
        let stream = shop.jetstream.get_stream(&shop.stream.name).await;
        stream.is_ok_and(|stream| {
            let info = stream.cached_info();
            info.state.messages == 50 && info.config.max_messages == -1
        })
    })
    .await;
    shop.check_copy().await;
}

#[tokio::test]
async fn a_stream_that_was_emptied_is_filled_again() {
    let shop = Shop::open().await;
    shop.append_many(20);
    let stream = shop.make_by_hand().await.expect("nobody else made it");
    for event in shop.journal.events() {
        shop.put(event.event_id).await;
    }
    stream.purge().await.expect("nothing denies it");
    assert_eq!(shop.published().await, Some(20), "an emptied stream keeps its last sequence");
    let _relay = shop.start_relay();
    eventually("it is complete again", async || {
        let stream = shop.jetstream.get_stream(&shop.stream.name).await;
        stream.is_ok_and(|stream| stream.cached_info().state.messages == 20)
    })
    .await;
    shop.check_copy().await;
}

#[tokio::test]
async fn a_journal_that_was_cut_in_front_gives_a_stream_that_begins_there() {
    let shop = Shop::open().await;
    for position in 101..=120 {
        shop.journal.append([event(position, new_id(), "OrderPaid", "{}").into()]);
    }
    let _relay = shop.start_relay();
    shop.is_published().await;
    let stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    assert_eq!(stream.cached_info().state.first_sequence, 101);
}

#[tokio::test]
async fn a_journal_that_is_cut_in_front_leaves_its_stream_unless_that_has_holes() {
    for hole in [None, Some(110)] {
        let shop = Shop::open().await;
        shop.append_many(120);
        shop.fill_by_hand(|_| false).await;
        let stream = async || shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
        if let Some(hole) = hole {
            stream().await.delete_message(hole).await.expect("nothing denies it yet");
        }
        let cut = shop.with_journal(&shop.journal.part(101..));
        let mut relay = cut.start_relay();
        relay.publishes().await;
        cut.reaches(120).await;
        let info = stream().await.cached_info().clone();
        // What the journal has no more the stream keeps, but it does not stand in for what is missing.
        let expected = if hole.is_none() { (1, 120) } else { (101, 20) };
        assert_eq!((info.state.first_sequence, info.state.messages), expected, "{hole:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_goes_out_as_a_stub_at_its_position() {
    let shop = Shop::open().await;
    shop.append_many(1);
    let large = format!(r#"{{"payment_id":"{}"}}"#, "x".repeat(shop.client.max_payload()));
    let large = shop.append(new_id(), "OrderPaid", &large);
    shop.append_many(1);
    let _relay = shop.start_relay();
    eventually("all three are published", async || shop.published().await == Some(3)).await;
    let stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    let stub = stream.direct_get(2).await.expect("the stub").payload;
    let stub: nats::PublicEvent = serde_json::from_slice(&stub).expect("an event");
    assert!(stub.oversized && stub.data.is_none());
    assert_eq!((stub.id, stub.position), (large.event_id, Position::new(2)));
    assert_eq!(stub.dataref.as_deref(), Some("/api/v1/events?after=1&limit=1"));
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_for_a_while_is_read_later() {
    let shop = Shop::open().await;
    shop.append_many(5);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    shop.journal.set_broken(true);
    shop.append_many(5);
    relay.is(|state| *state == RelayState::Waiting).await;
    shop.journal.set_broken(false);
    shop.is_published().await;
}

#[tokio::test]
async fn a_gap_in_the_journal_is_never_published_over() {
    let shop = Shop::open().await;
    shop.append_many(5);
    shop.journal.append([event(7, new_id(), "OrderPaid", "{}").into()]);
    let mut relay = shop.start_relay();
    // It finds the gap before it hears that what comes in front of it is stored.
    eventually("what is in front of the gap is published", async || {
        shop.published().await == Some(5)
    })
    .await;
    // The next comparison starts there, and ends at the gap again.
    let stuck = |status: &RelayStatus| {
        status.published_position == Some(Position::new(5)) && status.state == RelayState::Waiting
    };
    relay.says(stuck).await;
    assert_eq!(shop.published().await, Some(5));
}
