//! Roles that are processes of their own: what their operator sees.

mod support;

use reqwest::StatusCode;
use serde_json::json;
use support::{Shop, eventually};

#[tokio::test]
async fn every_worker_shows_its_operator_what_it_does() {
    let shop = Shop::new().await;
    for (role, line) in [
        ("relay", "gomall_relay_lag_events 0"),
        ("relay", "gomall_relay_state{state=\"publishing\"} 1"),
        ("project", "gomall_projection_lag_events{projection=\"catalogue\"} 0"),
        ("notify", "gomall_dead_letters{consumer=\"orders\"} 0"),
    ] {
        let worker = shop.worker(role);
        let operator = shop.visitor(&worker);
        operator.shows(line).await;
        assert_eq!(operator.get("/healthz").await.text, "alive\n", "{role}");
        eventually("it is there whole", || async {
            let ready = operator.get("/readyz").await;
            assert_eq!(ready.status, StatusCode::OK, "{role}: {}", ready.text);
            (ready.body == json!({"status": "ok", "degraded": []})).then_some(())
        })
        .await;
        operator.get("/api/v1/products").await.refused(404, "not_found");
        worker.terminate();
    }
}

#[tokio::test]
async fn a_relay_that_starts_without_nats_claims_no_lag_until_it_has_compared_the_stream() {
    let shop = Shop::new().await;
    shop.stack.nats.stop().await;
    let worker = shop.worker("relay");
    let operator = shop.visitor(&worker);
    operator.shows("gomall_relay_state{state=\"waiting\"} 1").await;
    let metrics = operator.get("/metrics").await.text;
    assert!(!metrics.contains("gomall_relay_lag_events"), "{metrics}");
    assert_eq!(operator.get("/readyz").await.body["degraded"], json!(["nats"]));
    shop.stack.nats.start().await.expect("the same port");
    operator.shows("gomall_relay_lag_events 0").await;
}
