//! What a schema may say, and what is like it.

use super::{object, resolved};
use regex::Regex;
use serde_json::Value;

/// A schema says only what its type has.
pub(super) fn assert_schema(place: &str, schema: &Value) {
    let members = object(schema);
    for (member, of) in [
        ("properties", "object"),
        ("required", "object"),
        ("items", "array"),
        ("maxItems", "array"),
        ("minLength", "string"),
        ("maxLength", "string"),
        ("pattern", "string"),
        ("minimum", "integer"),
        ("maximum", "integer"),
    ] {
        let is = |kind: &Value| kind == of;
        let fits = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(is),
            kind => is(kind),
        };
        assert!(!members.contains_key(member) || fits, "{place}: {member} of {}", schema["type"]);
    }
    let properties = schema["properties"].as_object();
    for required in schema["required"].as_array().into_iter().flatten() {
        let required = required.as_str().expect("a name");
        let known = properties.is_some_and(|properties| properties.contains_key(required));
        assert!(known, "{place}: {required} is required and unknown");
    }
    for (name, property) in properties.into_iter().flatten() {
        assert_schema(&format!("{place}.{name}"), property);
    }
    if let Some(items) = schema.get("items") {
        assert_schema(place, items);
    }
    for nested in ["oneOf", "allOf", "anyOf"] {
        for schema in schema[nested].as_array().into_iter().flatten() {
            assert_schema(place, schema);
        }
    }
}

/// A value is like its schema, member by member; it has no others.
pub(super) fn assert_fits(place: &str, schema: &Value, value: &Value) {
    let schema = resolved(schema);
    let alternatives: Vec<&Value> =
        ["oneOf", "anyOf"].iter().filter_map(|one| schema[*one].as_array()).flatten().collect();
    if let Some(one) = alternatives.iter().find(|one| one["type"] != "null") {
        return assert_fits(place, one, value);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        assert_fits(place, part, value);
    }
    if let Some(listed) = schema["enum"].as_array() {
        assert!(listed.contains(value), "{place}: {value} is none of {listed:?}");
    }
    let known = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("{place}: {kind}?"),
    };
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) => assert!(kinds.iter().any(known), "{place}: {value}"),
        kind => assert!(known(kind), "{place}: {value} is no {kind}"),
    }
    let within = |amount: i64, least: &str, most: &str| {
        let low = schema[least].as_i64().is_none_or(|least| least <= amount);
        let high = schema[most].as_i64().is_none_or(|most| amount <= most);
        assert!(low && high, "{place}: {value} is out of bounds");
    };
    match value {
        Value::Object(members) => {
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                assert!(members.contains_key(name), "{place}: {name} is missing");
            }
            let Some(properties) = schema["properties"].as_object() else { return };
            for (name, member) in members {
                let described = properties.get(name);
                let described = described.unwrap_or_else(|| panic!("{place}: {name} is unknown"));
                assert_fits(&format!("{place} {name}"), described, member);
            }
        }
        Value::Array(items) => {
            within(items.len() as i64, "minItems", "maxItems");
            items.iter().for_each(|item| assert_fits(place, &schema["items"], item));
        }
        Value::String(text) => {
            within(text.chars().count() as i64, "minLength", "maxLength");
            if let Some(pattern) = schema["pattern"].as_str() {
                let pattern = Regex::new(pattern).expect("a pattern");
                assert!(pattern.is_match(text), "{place}: {text:?} is not like {pattern}");
            }
        }
        Value::Number(number) => within(number.as_i64().unwrap_or(0), "minimum", "maximum"),
        Value::Null | Value::Bool(_) => {}
    }
}
