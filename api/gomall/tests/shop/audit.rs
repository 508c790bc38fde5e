//! `gomall audit` beside a running shop, and what the shop shows of its relay.

use crate::support::Shop;
use async_nats::jetstream::{self, stream};
use compose::testing::eventually;

#[tokio::test]
async fn an_audit_tells_a_copy_from_what_is_none_and_repairs_it_while_the_shop_runs() {
    let shop = Shop::new().await;
    let (copied, said) = shop.try_run(&["audit"]);
    assert!(!copied && said.contains("there is no stream"), "nobody has published yet: {said}");
    let said = shop.run(&["audit", "--repair"]);
    assert!(said.contains("the stream is a copy of the journal"), "it publishes by itself: {said}");

    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    visitor.shows(r#"gomall_relay_state{state="publishing"} 1"#).await;
    visitor.shows("gomall_relay_lag_events 0").await;
    for projection in ["catalogue", "orders", "permissions"] {
        let lag = format!("gomall_projection_lag_events{{projection=\"{projection}\"}} 0");
        visitor.shows(&lag).await;
    }

    foreign_stream(&shop).await;
    visitor.shows(r#"gomall_relay_state{state="stopped"} 1"#).await;
    let ready = visitor.get("/readyz").await;
    assert_eq!(ready.body["degraded"], serde_json::json!(["relay"]), "{}", ready.text);
    let (copied, said) = shop.try_run(&["audit"]);
    assert!(!copied && said.contains("NOT a copy"), "{said}");
    let said = shop.run(&["audit", "--repair"]);
    for step in ["the journal begins epoch", "deleted the stream GOMALL", "is a copy"] {
        assert!(said.contains(step), "{step}: {said}");
    }
    visitor.shows(r#"gomall_relay_state{state="publishing"} 1"#).await;
    let ready = visitor.get("/readyz").await;
    assert_eq!(ready.body["degraded"], serde_json::json!([]), "{}", ready.text);
    shop.run(&["audit"]);
}

/// Puts another shop's stream in the place of ours.
async fn foreign_stream(shop: &Shop) {
    let client = async_nats::connect(shop.stack.nats.url()).await.expect("NATS is up");
    let jetstream = jetstream::new(client);
    let config = stream::Config {
        name: "GOMALL".into(),
        subjects: vec!["gomall.>".into()],
        ..stream::Config::default()
    };
    // The relay makes its own again as soon as it sees that it is gone.
    eventually("a foreign stream with a message", || async {
        jetstream.delete_stream("GOMALL").await.ok()?;
        jetstream.create_stream(config.clone()).await.ok()?;
        let stored = jetstream.publish("gomall.order.OrderPaid", "{}".into()).await.ok()?.await;
        (stored.ok()?.sequence == 1).then_some(())
    })
    .await;
}
