use crate::support::{event, new_id};
use nats::{PublicEvent, write_public_event};
use serde_json::{Value, json};

fn written(event: &domain::RecordedEvent) -> Value {
    let mut body = Vec::new();
    write_public_event(event, &mut body);
    assert!(!body.contains(&b'\n'), "one line of NDJSON");
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn an_event_is_a_cloud_event_with_exactly_the_documented_members() {
    let order = new_id();
    let (correlation, causation) = (new_id(), new_id());
    let mut recorded = event(7, order, "OrderPaid", r#"{"payment_id":"p"}"#);
    recorded.metadata = format!(
        r#"{{"event_id":"x","actor":"user:\"7","correlation_id":"{correlation}","causation_id":"{causation}","traceparent":"00-1-2-01"}}"#
    );
    assert_eq!(
        written(&recorded),
        json!({
            "specversion": "1.0",
            "id": recorded.event_id,
            "source": "/gomall",
            "type": "gomall.order.OrderPaid.v1",
            "subject": format!("order/{order}"),
            "time": "1970-01-01T00:00:07.000Z",
            "datacontenttype": "application/json",
            "position": 7,
            "sequence": 7,
            "actor": "user:\"7",
            "correlationid": correlation,
            "causationid": causation,
            "traceparent": "00-1-2-01",
            "data": {"payment_id": "p"},
        })
    );
}

#[test]
fn what_is_unknown_is_null_and_never_absent() {
    let mut recorded = event(1, new_id(), "OrderPaid", "{}");
    recorded.metadata = r#"{"foreign":"writer"}"#.into();
    let event = written(&recorded);
    for member in ["actor", "correlationid", "causationid", "traceparent"] {
        assert_eq!(event.get(member), Some(&Value::Null), "{member}");
    }
}

#[test]
fn what_is_sealed_is_left_out() {
    let recorded =
        event(1, new_id(), "OrderPlaced", r#"{"number":1,"contact":{"$sealed":"c2VjcmV0"}}"#);
    assert_eq!(written(&recorded)["data"], json!({"number": 1}));
}

#[test]
fn a_payload_that_cannot_be_understood_shows_nothing() {
    let sealed = r#"{"odd":"\ud800","contact":{"$sealed":"c2VjcmV0"}}"#;
    assert_eq!(written(&event(1, new_id(), "OrderPlaced", sealed))["data"], Value::Null);
}

#[test]
fn a_payload_with_line_ends_becomes_one_line() {
    let recorded = event(1, new_id(), "OrderPaid", "{\n\"a\": 1\r\n}");
    assert_eq!(written(&recorded)["data"], json!({"a": 1}));
}

#[test]
fn readers_get_back_what_was_written() {
    let order = new_id();
    let recorded = event(3, order, "OrderPaid", r#"{"payment_id":"p"}"#);
    let event = PublicEvent::try_from(&recorded).expect("JSON");
    assert_eq!((event.aggregate_type(), event.event_type()), ("order", "OrderPaid"));
    assert_eq!(event.aggregate_id(), order.to_string());
    assert_eq!(event.id, recorded.event_id);
    assert!(!event.oversized);
    assert_eq!(serde_json::to_value(&event).expect("JSON"), written(&recorded));
}

#[test]
fn a_foreign_name_is_escaped() {
    let mut recorded = event(1, new_id(), "Odd\"\n\u{1}", "{}");
    recorded.aggregate_id = "ä \\".into();
    let written = written(&recorded);
    assert_eq!(written["type"], "gomall.order.Odd\"\n\u{1}.v1");
    assert_eq!(written["subject"], "order/ä \\");
}
