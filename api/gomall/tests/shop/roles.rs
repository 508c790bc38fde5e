//! Roles that are processes of their own: what their operator sees, and how they start.

use crate::support::{Gomall, Shop, process::Starting};
use compose::testing::eventually;
use reqwest::StatusCode;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// Long for a process that only has to end, short against what it waits for.
const AT_ONCE: Duration = Duration::from_secs(5);

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

#[tokio::test]
async fn every_role_waits_for_postgresql_and_can_be_stopped_meanwhile() {
    let shop = Shop::new().await;
    shop.stack.postgres.stop().await;
    let mut waiting = vec![];
    for (role, listen) in [
        ("serve", "--http"),
        ("relay", "--metrics"),
        ("project", "--metrics"),
        ("notify", "--metrics"),
    ] {
        let log = shop.data_dir.path().join(format!("{role}.log"));
        waiting.push((start(&shop, &[role, listen, "127.0.0.1:0"], &log), log));
    }
    let log = shop.data_dir.path().join("stopped.log");
    let stopped = start(&shop, &["relay"], &log);
    says_that_it_waits(&log).await;
    let took = stopped.terminate();
    assert!(took < AT_ONCE, "{took:?}");

    for (_, log) in &waiting {
        says_that_it_waits(log).await;
    }
    shop.stack.postgres.start().await.expect("the same port and data");
    for (role, log) in waiting {
        let worker = role.ready();
        let answer = shop.visitor(&worker).get("/readyz").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(waits(&log), 1, "it says so once: {log:?}");
    }
}

fn start(shop: &Shop, arguments: &[&str], log: &Path) -> Starting {
    let mut command = shop.command(arguments, &[]);
    command.stderr(File::create(log).expect("the directory is ours"));
    Gomall::spawn(command)
}

async fn says_that_it_waits(log: &Path) {
    eventually("it waits for PostgreSQL", || async { (waits(log) > 0).then_some(()) }).await;
}

fn waits(log: &Path) -> usize {
    let text = fs::read_to_string(log).expect("it was made");
    text.matches("PostgreSQL cannot be reached; waiting for it").count()
}

#[tokio::test]
async fn whoever_stands_still_is_said_to() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    let degraded = async || visitor.get("/readyz").await.body["degraded"].clone();
    eventually("all is well", async || (degraded().await == json!([])).then_some(())).await;
    let pool = sqlx::PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    let mut holding = pool.begin().await.expect("it is up");
    sqlx::query("select from process_checkpoints for update")
        .execute(&mut *holding)
        .await
        .expect("they are there");
    sqlx::query("lock table mails").execute(&mut *holding).await.expect("nobody keeps it");
    let customer = shop.customer(&gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    eventually("all three are named", async || {
        (degraded().await == json!(["notifier", "settlement", "unpaid_orders"])).then_some(())
    })
    .await;
    let metrics = visitor.get("/metrics").await.text;
    assert!(!metrics.contains("gomall_mails_waiting "), "nobody knows how many wait\n{metrics}");
    holding.rollback().await.expect("it is up");
    eventually("they go on", async || (degraded().await == json!([])).then_some(())).await;
    eventually("the mails are counted", async || {
        visitor.get("/metrics").await.text.contains("gomall_mails_waiting 0").then_some(())
    })
    .await;
}
