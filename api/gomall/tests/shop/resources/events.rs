//! The journal as analysts see it.

use crate::support::Shop;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn an_analyst_replays_every_event_from_any_position() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    customer.get("/api/v1/events").await.refused(403, "forbidden");
    let roles = format!("/api/v1/admin/users/{}/roles", customer.id());
    let granted = admin.post(&roles, &json!({"role": "analyst"})).await;
    granted.expect(StatusCode::OK);
    let analyst = customer;

    let all = analyst.get("/api/v1/events").await;
    let all = all.expect(StatusCode::OK);
    let events = all["items"].as_array().expect("a list");
    let positions: Vec<_> = events.iter().filter_map(|event| event["position"].as_u64()).collect();
    let head = granted.position();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>(), "no gap");
    assert_eq!(all["last_position"], head);
    let registered = events.iter().rfind(|event| event["type"] == "gomall.user.UserRegistered.v1");
    let registered = registered.expect("the analyst has registered");
    assert_eq!(registered["subject"], format!("user/{}", analyst.id()));
    assert!(!all.to_string().contains("@example.com"), "no personal data");

    let accept = [("accept", "application/x-ndjson")];
    let lines = analyst.send(Method::GET, "/api/v1/events", &accept, None).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&lines, events);
    let few = analyst.send(Method::GET, "/api/v1/events?limit=2&after=3", &accept, None).await;
    assert_eq!(few.text.lines().count(), 2);

    let page = analyst.get("/api/v1/events?after=3&limit=2").await;
    assert_eq!(page.expect(StatusCode::OK)["items"], json!(&events[3..5]));
    assert_eq!(page.body["last_position"], 5);
    let end = analyst.get(&format!("/api/v1/events?after={head}")).await;
    assert_eq!(end.expect(StatusCode::OK), &json!({"items": [], "last_position": head}));
    let until = analyst.get("/api/v1/events?until=4").await;
    assert_eq!(until.expect(StatusCode::OK)["last_position"], 4);
    let stock = analyst.get("/api/v1/events?aggregate=stock&aggregate_id=mascot").await;
    let subjects = stock.expect(StatusCode::OK)["items"].as_array().expect("a list");
    assert!(
        !subjects.is_empty() && subjects.iter().all(|event| event["subject"] == "stock/mascot")
    );
    let opened = analyst.get("/api/v1/events?types=StockItemOpened").await;
    assert_eq!(opened.expect(StatusCode::OK)["items"].as_array().map(Vec::len), Some(7));
    for bad in ["limit=0", "limit=1001", "after=x", "types=Nothing", "aggregate=nothing", "x=1"] {
        analyst.get(&format!("/api/v1/events?{bad}")).await.refused(422, "invalid_parameter");
    }
}
