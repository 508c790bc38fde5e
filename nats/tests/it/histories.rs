//! A stream that tells another history than the journal is left alone, and somebody hears of it.

use crate::support::Shop;
use compose::testing::eventually;
use domain::Position;
use nats::{Divergence, RelayState};
use testkit::{new_id, pool};
use uuid::Uuid;

#[tokio::test]
async fn another_event_at_the_same_position_stops_the_relay_until_the_stream_is_gone() {
    let shop = Shop::open().await;
    shop.append_many(30);
    let relay = shop.start_relay();
    shop.is_published().await;
    drop(relay);

    // Restored from a backup, and gone on differently.
    let fork = shop.with_journal(&shop.journal.part(..=25));
    fork.append_many(10);
    let mut relay = fork.start_relay();
    let status = relay.is(|state| matches!(state, RelayState::Diverged(_))).await;
    let journal_event = fork.journal.events()[25].event_id;
    let stream_event = Some(shop.journal.events()[25].event_id);
    let forked = Divergence::Forked { position: Position::new(26), journal_event, stream_event };
    assert_eq!(status.state, RelayState::Diverged(forked));
    shop.check_copy().await;

    shop.jetstream.delete_stream(&shop.stream.name).await.expect("the repair");
    relay.publishes().await;
    fork.is_published().await;
}

#[tokio::test]
async fn a_stream_that_is_replaced_under_a_running_relay_is_compared_anew() {
    let shop = Shop::open().await;
    shop.append_many(20);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    // Nothing is published meanwhile, so that only looking at the stream can show it.
    let first = replace(&shop, 20).await;
    let journal_event = shop.journal.events()[0].event_id;
    let forked =
        Divergence::Forked { position: Position::new(1), journal_event, stream_event: Some(first) };
    relay.is(|state| *state == RelayState::Diverged(forked.clone())).await;
    shop.jetstream.delete_stream(&shop.stream.name).await.expect("the repair");
    shop.is_published().await;
    relay.publishes().await;

    let _first = replace(&shop, 25).await;
    let ahead = Divergence::Ahead { stream_position: Position::new(25) };
    relay.is(|state| *state == RelayState::Diverged(ahead.clone())).await;
    assert_eq!(shop.published().await, Some(25), "it is left alone");
}

#[tokio::test]
async fn a_stream_that_is_ahead_of_the_journal_stops_the_relay() {
    let shop = Shop::open().await;
    shop.append_many(30);
    let relay = shop.start_relay();
    shop.is_published().await;
    drop(relay);
    let behind = shop.with_journal(&shop.journal.part(..=25));
    let mut relay = behind.start_relay();
    let status = relay.is(|state| matches!(state, RelayState::Diverged(_))).await;
    let ahead = Divergence::Ahead { stream_position: Position::new(30) };
    assert_eq!(status.state, RelayState::Diverged(ahead));
    shop.check_copy().await;
}

#[tokio::test]
async fn a_stream_of_another_epoch_is_left_alone() {
    let shop = Shop::open().await;
    shop.append_many(5);
    let relay = shop.start_relay();
    shop.is_published().await;
    drop(relay);
    let stream_epoch = nats::epoch::current(&shop.pool).await.expect("an epoch").to_string();
    let journal_epoch = nats::epoch::begin_anew(&shop.pool).await.expect("a new one");
    shop.append_many(5);
    let mut relay = shop.start_relay();
    let status = relay.is(|state| matches!(state, RelayState::Diverged(_))).await;
    let foreign = Divergence::ForeignEpoch { journal_epoch, stream_epoch };
    assert_eq!(status.state, RelayState::Diverged(foreign));
    assert_eq!(shop.published().await, Some(5));
}

#[tokio::test]
async fn a_stream_of_another_shop_is_told_from_one_of_another_history_of_ours() {
    let shop = Shop::open().await;
    let look = async |shop: &Shop| {
        let found = nats::epoch::another_shops(&shop.pool, &shop.client, &shop.stream).await;
        found.expect("the database is up")
    };
    assert_eq!(look(&shop).await, None, "nobody has the name");
    shop.append_many(3);
    let mut relay = shop.start_relay();
    relay.publishes().await;
    assert_eq!(look(&shop).await, None, "it is ours");
    let mut stranger = shop.with_journal(&shop.journal);
    stranger.pool = pool().await;
    // Both databases were made from one template.
    nats::epoch::begin_anew(&stranger.pool).await.expect("a journal of its own");
    let epoch = nats::epoch::current(&shop.pool).await.expect("an epoch").to_string();
    assert_eq!(look(&stranger).await, Some(epoch));
    nats::epoch::begin_anew(&shop.pool).await.expect("the repair begins");
    assert_eq!(look(&shop).await, None, "it was ours, and somebody is at it");
}

/// Puts a stream of so many foreign events in the place of the relay's, and returns the first one.
async fn replace(shop: &Shop, events: u64) -> Uuid {
    let first = new_id();
    // The relay may look in between, make the stream again and write to it.
    eventually("the place is taken", async || {
        let _it_may_be_gone = shop.jetstream.delete_stream(&shop.stream.name).await;
        if shop.make_by_hand().await.is_err() {
            return false;
        }
        for event in 1..=events {
            shop.put(if event == 1 { first } else { new_id() }).await;
        }
        shop.published().await == Some(events)
    })
    .await;
    first
}
