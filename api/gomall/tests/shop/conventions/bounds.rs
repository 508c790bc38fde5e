//! Bounds: whatever the document says of a member is kept.

use super::bodies::send;
use super::{Contract, Scene, samples};
use regex::Regex;
use serde_json::{Value, json};

/// Texts of which every pattern refuses some.
const ODD_TEXTS: [&str; 5] = ["", " ", "a\u{7}b", "ä/ß", "x y"];

/// Just beyond every bound of every body: too long, too few, not like the pattern.
pub(crate) async fn every_bound_of_the_document_is_kept(scene: &Scene) {
    let contract = &scene.contract;
    let (mut tried, mut complaints) = (0, vec![]);
    for operation in contract.operations() {
        let Some(schema) = contract.body_of(operation) else { continue };
        let of_operation = samples::bodies().filter(|(name, _)| *name == operation.name());
        for (_, sample) in of_operation {
            let mut beyond = vec![];
            walk(contract, schema, sample, "", &mut beyond);
            for (pointer, value) in beyond {
                tried += 1;
                let mut body = sample.clone();
                *body.pointer_mut(&pointer).expect("it was found there") = value.clone();
                let answer = send(scene, operation, body.to_string().into_bytes()).await;
                // The domain, which has codes of its own, is asked after what the path names.
                let absent = answer.status == 404 && operation.path.contains("{id}");
                let of_member = answer.body["errors"][0]["pointer"].as_str();
                let named = of_member.is_none_or(|named| named.starts_with(&pointer));
                if !absent && (answer.status != 422 || !named) {
                    let name = operation.name();
                    complaints.push(format!("{name} {pointer}: {value}: {}", answer.text));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(tried > 100, "only {tried} values were made up");
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
            if bound("minItems").is_some_and(|least| least > 0) {
                put(json!([]));
            }
            // Of a set the same thing twice is once.
            if let Some(most) = bound("maxItems").filter(|_| schema["uniqueItems"] != true) {
                put(Value::Array(vec![items[0].clone(); most as usize + 1]));
            }
            walk(contract, &schema["items"], &items[0], &format!("{at}/0"), beyond);
        }
        Value::String(_) => {
            if let Some(most) = bound("maxLength") {
                put(json!("a".repeat(most as usize + 1)));
            }
            if bound("minLength").is_some_and(|least| least > 0) {
                put(json!(""));
            }
            if schema["enum"].is_array() || schema["format"].is_string() {
                let guessed = schema["format"] == "password";
                (!guessed).then(|| put(json!("nonsense")));
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                let pattern = Regex::new(pattern).expect("a pattern");
                let odd = ODD_TEXTS.into_iter().filter(|text| !pattern.is_match(text));
                odd.for_each(|text| put(json!(text)));
            }
        }
        Value::Number(_) => {
            bound("minimum").into_iter().for_each(|least| put(json!(least - 1)));
            bound("maximum").into_iter().for_each(|most| put(json!(most + 1)));
        }
        Value::Null | Value::Bool(_) => {}
    }
}
