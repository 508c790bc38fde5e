use super::super::params::*;
use super::*;
use axum::extract::FromRequestParts;
use axum::http::{Request, StatusCode};
use domain::Position;
use futures::stream;
use serde_json::Value;
use time::macros::datetime;
use uuid::Uuid;

async fn params(query: &str) -> Result<EventParams, &'static str> {
    let request = Request::get(format!("/api/v1/events?{query}")).body(()).expect("a request");
    let (mut parts, ()) = request.into_parts();
    let params = Params::from_request_parts(&mut parts, &()).await;
    params.map(|Params(params)| params).map_err(|problem| problem.code())
}

fn event(position: u64) -> Arc<RecordedEvent> {
    Arc::new(RecordedEvent {
        position: Position::new(position),
        aggregate_type: "stock".into(),
        aggregate_id: "mascot".into(),
        sequence: position,
        event_type: "StockReceived".into(),
        event_version: "1".into(),
        payload: r#"{"quantity":1,"reason":"delivery"}"#.into(),
        metadata: "{}".into(),
        event_id: Uuid::from_u128(position.into()),
        recorded_at: datetime!(2026-11-23 06:34:20.123 UTC),
    })
}

fn broken() -> ReadError {
    ReadError::from(sqlx::Error::PoolTimedOut)
}

#[tokio::test]
async fn what_is_asked_for_is_checked() {
    let all = params("").await.expect("no parameter is required");
    assert_eq!((all.after, all.until, all.limit.is_none()), (Position::START, None, true));
    let some = params(
        "after=7&until=9&limit=1000&types=gomall.order.OrderPlaced.v1,OrderPaid&aggregate=order",
    )
    .await
    .expect("legal parameters");
    assert_eq!((some.after, some.until), (Position::new(7), Some(Position::new(9))));
    let types: Vec<_> = some.types.expect("two types").0.into_iter().collect();
    assert_eq!(types, ["OrderPaid", "OrderPlaced"]);
    for bad in [
        "after=-1",
        "after=x",
        "after=18446744073709551616",
        // One more than a journal counts.
        "after=9223372036854775808",
        "until=9223372036854775808",
        "limit=0",
        "limit=1001",
        "limit=99999999999",
        "until=1.5",
        "types=",
        "types=OrderPlaced,",
        "types=orderplaced",
        "types=gomall.cart.OrderPlaced.v1",
        "types=gomall.order.OrderPlaced.v2",
        "aggregate=orders",
        "format=csv",
    ] {
        assert_eq!(params(bad).await.err(), Some("invalid_parameter"), "{bad}");
    }
}

#[test]
fn lines_are_for_those_who_name_them() {
    let wants = |accept: &'static str| {
        wants_lines(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
    };
    assert!(wants("application/x-ndjson"));
    assert!(wants("text/html, Application/X-NDJSON;q=0.9"));
    for other in ["application/json", "*/*", "application/x-ndjsonx", ""] {
        assert!(!wants(other), "{other}");
    }
    assert!(!wants_lines(&HeaderMap::new()));
}

#[test]
fn a_page_says_where_the_next_one_begins() {
    let shown = |events: &[_]| -> Value {
        serde_json::from_slice(&page(events, Position::new(3))).expect("a page is JSON")
    };
    let both = shown(&[event(4), event(9)]);
    assert_eq!(both["last_position"], 9);
    assert_eq!(both["items"][1]["position"], 9);
    assert_eq!(both["items"][0]["type"], "gomall.stock.StockReceived.v1");
    assert_eq!(shown(&[]), serde_json::json!({"items": [], "last_position": 3}));
}

#[tokio::test]
async fn a_line_is_an_event() {
    let lines = lines(stream::iter([1, 2, 3].map(|position| Ok(event(position))))).await;
    let body = lines.map(Body::from_stream);
    let bytes = axum::body::to_bytes(body.expect("a body"), usize::MAX).await.expect("all of it");
    let text = String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8");
    let positions: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
        .filter_map(|event| event["position"].as_u64())
        .collect();
    assert_eq!(positions, [1, 2, 3]);
    assert!(text.ends_with("}\n"));
}

#[tokio::test]
async fn an_export_that_breaks_off_never_looks_complete() {
    let begun = lines(stream::iter([Ok(event(1)), Err(broken())])).await;
    let body = Body::from_stream(begun.expect("it began well"));
    assert!(axum::body::to_bytes(body, usize::MAX).await.is_err(), "the answer is cut off");
}

#[tokio::test]
async fn an_export_that_cannot_begin_is_a_503() {
    let refused = lines(stream::iter([Err(broken())])).await.err().expect("nothing could be read");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
}
