//! Bounds: whatever the document says of a member is kept.

use super::bodies::{complaint, send};
use super::{Contract, Scene, samples};
use crate::resources;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Texts of which every pattern refuses some.
const ODD_TEXTS: [&str; 5] = ["", " ", "a\u{7}b", "ä/ß", "x y"];

/// Just beyond every bound of every body: too long, too few, not like the pattern.
pub(crate) async fn every_bound_of_the_document_is_kept(scene: &Scene) {
    let contract = &scene.contract;
    let (mut tried, mut complaints) = (BTreeSet::new(), vec![]);
    for operation in contract.operations() {
        let Some(schema) = contract.body_of(operation) else { continue };
        let name = operation.name();
        for (_, sample) in samples::bodies().filter(|(of, _)| *of == name) {
            let mut beyond = vec![];
            walk(contract, schema, sample, "", &mut beyond);
            for (pointer, value) in beyond {
                let mut body = sample.clone();
                *body.pointer_mut(&pointer).expect("it was found there") = value.clone();
                let answer = send(scene, operation, body.to_string().into_bytes()).await;
                let by_domain = resources::all()
                    .flat_map(|resource| resource.of_the_domain)
                    .filter(|(of, at, ..)| (*of, *at) == (&name, &pointer))
                    .any(|(.., status, code)| complaint(&answer, *status, code, None).is_none());
                let wrong =
                    complaint(&answer, 422, "invalid_field", Some(&pointer)).filter(|_| !by_domain);
                complaints.extend(wrong.map(|it| format!("{name} {pointer}: {value}: {it}")));
                tried.insert(format!("{name} {pointer} {value}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(tried.len() > 250, "only {} values were made up", tried.len());
}

/// Values beyond the bounds of each part of a good body, with where they go.
fn walk(
    contract: &Contract,
    schema: &Value,
    value: &Value,
    at: &str,
    beyond: &mut Vec<(String, Value)>,
) {
    let schema = contract.essential(schema);
    let mut put = |value: Value| beyond.push((at.to_owned(), value));
    let bound = |name: &str| schema[name].as_i64();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let of_member = &schema["properties"][name];
                walk(contract, of_member, member, &format!("{at}/{name}"), beyond);
            }
        }
        Value::Array(items) => {
            let of_items = contract.essential(&schema["items"]);
            if bound("minItems").is_some_and(|least| least > 0) {
                put(json!([]));
            }
            if let Some(most) = bound("maxItems") {
                put((0..=most).map(|number| another(of_items, &items[0], number)).collect());
            }
            walk(contract, of_items, &items[0], &format!("{at}/0"), beyond);
        }
        Value::String(text) => {
            if let Some(most) = bound("maxLength").or_else(|| longest(schema)) {
                // Right but for its length.
                put(json!(text.clone() + &"a".repeat(most as usize + 1 - text.len())));
            }
            if bound("minLength").is_some_and(|least| least > 0) {
                put(json!(""));
                put(json!(" "));
            }
            if let Some(listed) = schema["enum"].as_array() {
                let last = listed.last().and_then(Value::as_str).expect("texts are listed");
                let (capitals, small) = (last.to_uppercase(), last.to_lowercase());
                put(json!(if capitals == last { small } else { capitals }));
                put(json!(""));
                put(json!("nonsense"));
            }
            // What a password must be is not told.
            if schema["format"].as_str().is_some_and(|format| format != "password") {
                put(json!("nonsense"));
            }
            if let Some(pattern) = pattern(schema) {
                let odd = ODD_TEXTS.into_iter().filter(|text| !pattern.is_match(text));
                odd.for_each(|text| put(json!(text)));
            }
        }
        Value::Number(_) => {
            if let Some(least) = bound("minimum") {
                put(json!(least - 1));
                put(json!(i64::MIN));
            }
            if let Some(most) = bound("maximum") {
                put(json!(most + 1));
                put(json!(i64::MAX));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn pattern(schema: &Value) -> Option<Regex> {
    schema["pattern"].as_str().map(|pattern| Regex::new(pattern).expect("a pattern"))
}

/// How long a text may be whose pattern says so, as that of what names a thing does.
fn longest(schema: &Value) -> Option<i64> {
    let (_, rest) = schema["pattern"].as_str()?.split_once("{1,")?;
    rest.split_once('}')?.0.parse().ok()
}

/// An item like this one, with another name where it has one: no list may name a thing twice.
fn another(schema: &Value, item: &Value, number: i64) -> Value {
    let mut other = item.clone();
    match &mut other {
        Value::String(name) if schema["enum"].is_null() => *name = format!("name-{number}"),
        Value::Object(members) if members.contains_key("sku") => {
            members.insert("sku".to_owned(), json!(format!("name-{number}")));
        }
        _ => {}
    }
    other
}
