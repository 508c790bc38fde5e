//! The schemas say of stored events what is true of them.

use crate::json_of;
use crate::samples;
use crate::validate::complaints;
use domain::{
    AGGREGATES, Currency, EventSchema, Locale, Quantity, Sku, Slug, Timestamp, event_schemas,
};
use schemars::{JsonSchema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fs;

fn schema_of(event_type: &str, version: &str) -> EventSchema {
    let mut schemas = event_schemas().into_iter();
    let found = schemas
        .find(|event| event.event_type == event_type && event.version.to_string() == version);
    found.unwrap_or_else(|| panic!("{event_type} version {version} has no schema"))
}

#[test]
fn every_version_of_every_event_has_a_schema() {
    let described: Vec<_> = event_schemas()
        .into_iter()
        .map(|event| (event.aggregate_type, event.event_type, event.version))
        .collect();
    let stored: Vec<_> = AGGREGATES
        .iter()
        .flat_map(|events| events.stored().into_iter().map(|known| (events.aggregate_type, known)))
        .map(|(aggregate_type, (event_type, version))| (aggregate_type, event_type, version))
        .collect();
    assert_eq!(described, stored);
}

#[test]
fn whatever_is_stored_is_valid() {
    for sample in samples::all() {
        let schema = schema_of(&sample.event_type, &sample.event_version).schema;
        let complaints = complaints(&schema, &json_of(&sample.payload));
        assert!(complaints.is_empty(), "{}: {complaints:#?}", sample.event_type);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for file in fs::read_dir(folder).expect("the golden files are there") {
        let file = file.expect("the folder can be read").path();
        let name = file.file_stem().and_then(|name| name.to_str()).expect("plain names");
        let (event_type, version) = name.split_once(".v").expect("<Type>.v<version>.json");
        let stored = fs::read_to_string(&file).expect("golden files are text");
        let complaints = complaints(&schema_of(event_type, version).schema, &json_of(&stored));
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
}

/// The schema of `T` takes exactly those of `texts` that `T` takes.
fn assert_same_judgement<T: JsonSchema + DeserializeOwned + Serialize>(values: &[Value]) {
    let schema = schema_for!(T).to_value();
    let mut schema = schema.as_object().expect("an object").clone();
    schema.remove("title");
    let schema = Value::Object(schema);
    for value in values {
        let is_valid = complaints(&schema, value).is_empty();
        assert_eq!(is_valid, T::deserialize(value).is_ok(), "{value} against {schema}");
    }
}

#[test]
fn patterns_and_bounds_are_those_of_the_constructors() {
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);
    let tokens = ["a", "T-Shirt_1", "-", "", "a b", "a/b", "é", "a\n", "*", &longest, &too_long];
    let tokens = tokens.map(|text| json!(text));
    assert_same_judgement::<Sku>(&tokens);
    assert_same_judgement::<Slug>(&tokens);
    assert_same_judgement::<domain::RoleName>(&tokens);
    assert_same_judgement::<domain::policy::RoleSelector>(&tokens);
    let methods = ["*", "GET", "PATCH", "HEAD", "get", ""].map(|text| json!(text));
    assert_same_judgement::<domain::policy::MethodSelector>(&methods);
    let texts = ["", "a", "a\0b", "a\tb", "a\nb", "\u{7f}", "\u{85}", "茶"].map(str::to_owned);
    let long = [200, 201, 500, 501, 10_000, 10_001].map(|chars| "茶".repeat(chars));
    let texts: Vec<_> = texts.into_iter().chain(long).map(Value::String).collect();
    assert_same_judgement::<domain::Name>(&texts);
    assert_same_judgement::<domain::Text>(&texts);
    assert_same_judgement::<domain::Reason>(&texts);
    assert_same_judgement::<domain::Description>(&texts);
    assert_same_judgement::<Locale>(&["en", "zh", "EN", "de", ""].map(|text| json!(text)));
    assert_same_judgement::<Currency>(&["USD", "JPY", "usd", "XXX", ""].map(|text| json!(text)));
    let numbers = [json!(-1), json!(0), json!(1), json!(999), json!(1000), json!(1.5), json!("1")];
    assert_same_judgement::<Quantity>(&numbers);
    let times = ["2026-11-23T06:34:20.123Z", "2026-11-23", "now"].map(|text| json!(text));
    assert_same_judgement::<Timestamp>(&times);
    let amounts = [-1_i64, 0, 990, 1_000_000_000_000, 1_000_000_000_001];
    let mut money: Vec<_> =
        amounts.iter().map(|amount| json!({ "amount": amount, "currency": "USD" })).collect();
    money.push(json!({ "amount": 1 }));
    money.push(json!({ "amount": 1, "currency": "USD", "scale": 2 }));
    money.push(json!({ "amount": "1", "currency": "USD" }));
    money.push(json!({ "amount": 1, "currency": "ABC" }));
    assert_same_judgement::<domain::Money>(&money);
}
