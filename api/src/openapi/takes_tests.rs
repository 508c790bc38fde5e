use super::*;
use crate::http::{AtLeast, Body, Id, IfMatch, KeyedCommand, Params, Path};
use domain::{OrderId, Quantity, Sku};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only what it looks like is asked")]
struct Wanted {
    sku: Sku,
    #[serde(default)]
    quantity: Option<Quantity>,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

async fn change(
    _: Path<(Id<OrderId>, Sku)>,
    _: Params<Wanted>,
    _: IfMatch,
    _: KeyedCommand,
    _: Body<Wanted>,
) {
}

async fn read(_: Params<Nothing>, _: AtLeast, _: Body<Nothing>) {}

/// What a handler's arguments say about an operation at this path.
fn said<Arguments>(path: &str, handler: &impl Signature<Arguments>) -> Value {
    let (mut operation, mut named) = (Operation::new(), vec![]);
    handler.describe(&mut Sketch { path, operation: &mut operation, named: &mut named });
    serde_json::to_value(operation).expect("plain data")
}

/// A handler leaves to its arguments, and to the edge, what they say: its own part is its own.
pub(super) fn assert_says_nothing_twice<Arguments>(
    path: &str,
    operation: &Operation,
    handler: &impl Signature<Arguments>,
) {
    let mut said = Operation::new();
    handler.describe(&mut Sketch { path, operation: &mut said, named: &mut vec![] });
    let own = &operation.responses.responses;
    let everywhere = crate::openapi::answers::everywhere();
    for (status, answer) in own {
        let is_bare = matches!(answer, RefOr::T(answer) if answer.description.is_empty());
        let is_said = said.responses.responses.contains_key(status) || everywhere.contains(status);
        assert!(!(is_bare && is_said), "{path}: {status} is said already");
    }
}

#[test]
fn arguments_say_what_they_take_and_what_they_refuse() {
    let said = said("/things/{id}/{sku}", &change);
    let parameters = said["parameters"].as_array().expect("a list").iter();
    let parameters: Vec<_> = parameters
        .map(|one| (one["in"].as_str(), one["name"].as_str(), one["required"] == true))
        .collect();
    assert_eq!(
        parameters,
        [
            (Some("path"), Some("id"), true),
            (Some("path"), Some("sku"), true),
            (Some("query"), Some("quantity"), false),
            (Some("query"), Some("sku"), true),
            (Some("header"), Some("If-Match"), true),
            (Some("header"), Some("Idempotency-Key"), true),
        ]
    );
    let quantity = &said["parameters"][2]["schema"];
    assert_eq!((&quantity["type"], &quantity["maximum"]), (&json!("integer"), &json!(999)));
    assert_eq!(said["requestBody"]["required"], true);
    let refusals: Vec<_> = said["responses"].as_object().expect("by status").keys().collect();
    assert_eq!(refusals, ["400", "404", "408", "409", "412", "413", "415", "422", "428", "503"]);
}

#[test]
fn nothing_is_described_as_nothing() {
    let said = said("/things", &read);
    assert_eq!(said["parameters"].as_array().map(Vec::len), Some(1));
    assert!(said.get("requestBody").is_none());
}
