use crate::support::Shop;
use compose::testing::eventually;
use nats::Hints;

#[tokio::test]
async fn a_hint_reaches_every_process_and_is_not_stored() {
    let shop = Shop::open().await;
    let mut relay = shop.start_relay();
    relay.publishes().await;
    let hints = Hints::new(shop.client.clone(), &shop.stream);
    let receivers = [hints.subscribe(), hints.subscribe()];
    let publisher = hints.publisher();
    // Receiving begins in a task of its own, so the first hints may be lost, as any hint may.
    eventually("hints arrive", async || {
        publisher.publish(17);
        receivers.iter().all(|receiver| *receiver.borrow() == 17)
    })
    .await;
    assert_eq!(shop.published().await, Some(0));
}

#[tokio::test]
async fn a_burst_of_hints_ends_with_the_last() {
    let shop = Shop::open().await;
    let hints = Hints::new(shop.client.clone(), &shop.stream);
    let receiver = hints.subscribe();
    let publisher = hints.publisher();
    eventually("hints arrive", async || {
        publisher.publish(1);
        *receiver.borrow() == 1
    })
    .await;
    for position in 2..=10_000 {
        publisher.publish(position);
    }
    eventually("the last hint arrives", async || *receiver.borrow() == 10_000).await;
}
