//! Somebody else publishes to the stream, or the journal is not what was published: the relay stops, and
//! says what it found.

use crate::support::{Running, Shop, event};
use domain::Position;
use nats::{Divergence, RelayState};
use testkit::new_id;

async fn diverges(relay: &mut Running) -> Divergence {
    match relay.is(|state| matches!(state, RelayState::Diverged(_))).await.state {
        RelayState::Diverged(divergence) => divergence,
        _ => unreachable!("that is what was waited for"),
    }
}

fn forked(divergence: &Divergence) -> Option<u64> {
    match divergence {
        Divergence::Forked { position, .. } => Some(position.get()),
        _ => None,
    }
}

#[tokio::test]
async fn a_message_that_took_the_place_of_an_event_is_not_published_over() {
    let shop = Shop::open().await;
    shop.append_many(5);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    relay.says(|status| status.published_position == Some(Position::new(5))).await;
    shop.put(new_id()).await;
    shop.append_many(60);
    let divergence = diverges(&mut relay).await;
    assert_eq!(forked(&divergence), Some(6), "{divergence}");
    assert_eq!(
        relay.status.borrow().published_position,
        Some(Position::new(5)),
        "nothing behind it is claimed"
    );

    shop.jetstream.delete_stream(&shop.stream.name).await.expect("the repair");
    relay.publishes().await;
    shop.is_published().await;
}

#[tokio::test]
async fn a_message_that_came_while_nothing_was_published_is_seen() {
    let shop = Shop::open().await;
    shop.append_many(5);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    shop.put(new_id()).await;
    assert_eq!(diverges(&mut relay).await, Divergence::Ahead { stream_position: Position::new(6) });
}

#[tokio::test]
async fn what_was_on_its_way_when_a_relay_died_is_compared_before_anything_is_published() {
    let shop = Shop::open().await;
    shop.append_many(600);
    // The last message is ours, and so is every other one.
    shop.fill_by_hand(|position| position == 595).await;
    shop.append_many(1);
    let mut relay = shop.start_relay();
    let idle = |state: &RelayState| matches!(state, RelayState::Standby | RelayState::Waiting);
    let first = relay.is(|state| !idle(state)).await.state;
    let RelayState::Diverged(divergence) = first else { panic!("it publishes: {first:?}") };
    assert_eq!(forked(&divergence), Some(595), "{divergence}");
    assert_eq!(shop.published().await, Some(600));
}

#[tokio::test]
async fn old_messages_are_looked_at_again_and_again() {
    let shop = Shop::open().await;
    shop.append_many(2_000);
    shop.fill_by_hand(|position| position <= 900).await;
    let mut relay = shop.start_relay();
    relay.publishes().await;
    let divergence = diverges(&mut relay).await;
    assert!(forked(&divergence).is_some_and(|position| position <= 900), "{divergence}");
    // It stays away, although what is compared before publishing is as it should be.
    shop.append_many(1);
    let again = shop.start_relay();
    drop(relay);
    drop(again);
    assert_eq!(shop.published().await, Some(2_000));
}

#[tokio::test]
async fn a_journal_that_is_another_one_since_it_was_published_is_seen() {
    let shop = Shop::open().await;
    shop.append_many(200);
    let mut relay = shop.start_relay();
    shop.is_published().await;
    relay.publishes().await;
    shop.journal.replace(event(150, new_id(), "OrderAddressChanged", "{}"));
    let divergence = diverges(&mut relay).await;
    assert_eq!(forked(&divergence), Some(150), "{divergence}");
}
