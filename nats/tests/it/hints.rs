use crate::support::Shop;
use compose::testing::eventually;
use domain::Position;
use nats::Hints;
use testkit::pool;

async fn open(shop: &Shop) -> Hints {
    let opened = Hints::open(shop.client.clone(), &shop.stream, shop.pool.clone());
    opened.await.expect("the epoch is readable")
}

#[tokio::test]
async fn a_hint_reaches_every_process_and_is_not_stored() {
    let shop = Shop::open().await;
    let mut relay = shop.start_relay();
    relay.publishes().await;
    let hints = open(&shop).await;
    let receivers = [hints.subscribe(), hints.subscribe()];
    let publisher = hints.publisher();
    // Receiving begins in a task of its own, so the first hints may be lost, as any hint may.
    eventually("hints arrive", async || {
        publisher.publish(Position::new(17));
        receivers.iter().all(|receiver| receiver.borrow().get() == 17)
    })
    .await;
    assert_eq!(shop.published().await, Some(0));
}

#[tokio::test]
async fn a_burst_of_hints_ends_with_the_last() {
    let shop = Shop::open().await;
    let hints = open(&shop).await;
    let receiver = hints.subscribe();
    let publisher = hints.publisher();
    eventually("hints arrive", async || {
        publisher.publish(Position::new(1));
        receiver.borrow().get() == 1
    })
    .await;
    for position in 2..=10_000 {
        publisher.publish(Position::new(position));
    }
    eventually("the last hint arrives", async || receiver.borrow().get() == 10_000).await;
}

#[tokio::test]
async fn hints_of_another_shop_on_the_same_name_wake_nobody() {
    let shop = Shop::open().await;
    let mut stranger = shop.with_journal(&shop.journal);
    stranger.pool = pool().await;
    // Both databases were made from one template.
    nats::epoch::begin_anew(&stranger.pool).await.expect("a journal of its own");
    let (ours, theirs) = (open(&shop).await, open(&stranger).await);
    let (our_receiver, their_receiver) = (ours.subscribe(), theirs.subscribe());
    let (our_publisher, their_publisher) = (ours.publisher(), theirs.publisher());
    eventually("both are heard", async || {
        our_publisher.publish(Position::new(7));
        their_publisher.publish(Position::new(1_000_000));
        our_receiver.borrow().get() == 7 && their_receiver.borrow().get() == 1_000_000
    })
    .await;
    // Each hears the other's many times before its own next one.
    for position in 1_000_001..1_000_050 {
        their_publisher.publish(Position::new(position));
        eventually("it is heard", async || their_receiver.borrow().get() == position).await;
        assert_eq!(our_receiver.borrow().get(), 7);
    }
}

#[tokio::test]
async fn a_new_epoch_is_learned_from_whoever_hints_in_it() {
    let shop = Shop::open().await;
    let receiver = open(&shop).await.subscribe();
    nats::epoch::begin_anew(&shop.pool).await.expect("the repair");
    let publisher = open(&shop).await.publisher();
    eventually("it is heard", async || {
        publisher.publish(Position::new(17));
        receiver.borrow().get() == 17
    })
    .await;
}
