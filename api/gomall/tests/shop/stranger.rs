//! A worker that nobody here wrote follows orders on JetStream with a client of its own, in the same way as the
//! shop's own worker for mails does.

use crate::support::{Shop, key};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use compose::testing::eventually;
use futures::{StreamExt, TryStreamExt};
use reqwest::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// The shop's own worker.
const NOTIFY: &str = "notify";

/// Orders of this test.
const ORDERS: usize = 3;

/// What a fetch waits for: the messages are there.
const FETCH: Duration = Duration::from_secs(10);

/// Fetches what comes next, without settling it.
async fn next(consumer: &PullConsumer) -> jetstream::Message {
    let mut batch = consumer.fetch().max_messages(1).expires(FETCH).messages().await.expect("NATS");
    batch.next().await.expect("there is another one").expect("it is delivered")
}

fn event(message: &jetstream::Message) -> Value {
    serde_json::from_slice(&message.payload).expect("an event is JSON")
}

#[tokio::test]
async fn a_worker_of_a_stranger_follows_orders_as_the_worker_for_mails_does() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let client = async_nats::connect(shop.stack.nats.url()).await.expect("it runs");
    let jetstream = jetstream::new(client);
    let stream = eventually("a stream", async || jetstream.get_stream("GOMALL").await.ok()).await;
    let theirs = pull::Config {
        durable_name: Some("accounting".to_owned()),
        filter_subject: "gomall.order.OrderPlaced".to_owned(),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(theirs.clone()).await.expect("it has a name of its own");
    let customer = shop.customer(&gomall).await;
    let mut orders = vec![];
    for _ in 0..ORDERS {
        customer.add("notebook", 1).await.expect(StatusCode::OK);
        let placed = customer.check_out(&key(), None).await;
        orders.push(placed.expect(StatusCode::CREATED)["order"]["id"].clone());
    }

    // It cannot do the first one yet, and goes.
    let first = next(&consumer).await;
    let placed = event(&first);
    assert_eq!(placed["type"], "gomall.order.OrderPlaced.v1");
    assert_eq!(placed["subject"], format!("order/{}", orders[0].as_str().expect("an id")));
    let info = first.info().expect("JetStream says where a message is");
    assert_eq!(placed["position"], info.stream_sequence, "message n is event n");
    first.ack_with(AckKind::Nak(None)).await.expect("NATS");
    drop(consumer);
    let consumer: PullConsumer = stream.get_consumer("accounting").await.expect("it is durable");
    let mut seen = vec![];
    for _ in 0..ORDERS {
        let message = next(&consumer).await;
        seen.push(event(&message)["subject"].as_str().expect("a subject").to_owned());
        message.ack().await.expect("NATS");
    }
    seen.sort();
    let mut wanted: Vec<_> =
        orders.iter().map(|id| format!("order/{}", id.as_str().expect("an id"))).collect();
    wanted.sort();
    assert_eq!(seen, wanted, "each of them once, the first again");

    // The shop's own worker is a durable of the same kind, and follows by acknowledging.
    let consumers: Vec<_> = stream.consumers().try_collect().await.expect("NATS");
    let ours = consumers.iter().find(|found| found.name == NOTIFY).expect("it is a durable");
    assert_eq!(ours.config.ack_policy, AckPolicy::Explicit);
    assert!(ours.config.deliver_subject.is_none(), "it pulls");
    let filters =
        [&ours.config.filter_subjects[..], std::slice::from_ref(&ours.config.filter_subject)]
            .concat();
    let mut filters = filters.iter().filter(|subject| !subject.is_empty()).peekable();
    assert!(filters.peek().is_some() && filters.all(|it| it.starts_with("gomall.")), "{ours:?}");
    eventually("every event is acknowledged", async || {
        let mut ours: PullConsumer = stream.get_consumer(NOTIFY).await.ok()?;
        let info = ours.info().await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
}
