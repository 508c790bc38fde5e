//! What may change in the schema of an event that was stored already: next to nothing.
//!
//! Journals hold events that are valid against the schema of yesterday, and readers elsewhere were
//! built from it. So every old event must be valid tomorrow, and no reader may miss what it was
//! promised. What is not certainly harmless is a break.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Keywords that only explain.
const ANNOTATIONS: [&str; 5] = ["$schema", "title", "description", "default", "examples"];

/// What in `generated` breaks the contract that `kept` was; both are documents as `schemas.rs` writes
/// them. A type or a version that is new breaks nothing.
pub(crate) fn breaks(kept: &Value, generated: &Value) -> Vec<String> {
    let mut comparison = Comparison { kept, generated, breaks: vec![] };
    for (aggregate, types) in members(&kept["events"]) {
        for (event_type, versions) in members(types) {
            for (version, schema) in members(versions) {
                let at = format!("{event_type} version {version}");
                match generated["events"][aggregate][event_type].get(version) {
                    Some(changed) => comparison.compare(&at, schema, changed),
                    None => comparison.report(&at, "is gone, and journals hold it"),
                }
            }
        }
    }
    if let Some(envelope) = kept.get("envelope") {
        comparison.compare("the envelope", envelope, &generated["envelope"]);
    }
    comparison.breaks
}

struct Comparison<'a> {
    kept: &'a Value,
    generated: &'a Value,
    breaks: Vec<String>,
}

impl Comparison<'_> {
    fn report(&mut self, at: &str, what: &str) {
        self.breaks.push(format!("{at} {what}"));
    }

    fn compare(&mut self, at: &str, old: &Value, new: &Value) {
        let (old, new) = (resolved(self.kept, old), resolved(self.generated, new));
        self.compare_values(at, &old, &new);
        let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for keyword in keywords {
            let (before, now) = (old.get(keyword), new.get(keyword));
            match keyword.as_str() {
                annotation if ANNOTATIONS.contains(&annotation) => {}
                // Compared above, in whichever of their forms.
                "enum" | "const" => {}
                "oneOf" if values(&old).is_some() || values(&new).is_some() => {}
                "minimum" | "minLength" | "minItems" => {
                    let narrows = now.is_some_and(|now| before.is_none_or(|b| is_less(b, now)));
                    self.report_if(narrows, at, &format!("has a narrower {keyword}"));
                }
                "maximum" | "maxLength" | "maxItems" => {
                    let narrows = now.is_some_and(|now| before.is_none_or(|b| is_less(now, b)));
                    self.report_if(narrows, at, &format!("has a narrower {keyword}"));
                }
                // Whether one pattern takes what another took cannot be told; none takes everything.
                "pattern" => {
                    self.report_if(now.is_some() && now != before, at, "has another pattern");
                }
                "properties" => self.compare_members(at, &old, &new),
                "required" => {}
                "additionalProperties" => {
                    let closes = now.is_some() && now != before;
                    self.report_if(closes, at, "is closed to members that it let pass");
                }
                "items" => match (before, now) {
                    (Some(before), Some(now)) => self.compare(&format!("{at}/*"), before, now),
                    _ => self.report(at, "says something else about its items"),
                },
                "anyOf" | "oneOf" => match (before, now) {
                    (Some(Value::Array(before)), Some(Value::Array(now)))
                        if before.len() == now.len() =>
                    {
                        for (index, (before, now)) in before.iter().zip(now).enumerate() {
                            self.compare(&format!("{at} choice {}", index + 1), before, now);
                        }
                    }
                    _ => self.report(at, "has other choices"),
                },
                other => self.report_if(before != now, at, &format!("has another {other}")),
            }
        }
    }

    fn report_if(&mut self, is_break: bool, at: &str, what: &str) {
        if is_break {
            self.report(at, what);
        }
    }

    fn compare_values(&mut self, at: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let Some(allowed) = values(new) else { return };
        match values(old) {
            Some(before) => {
                for value in before.iter().filter(|value| !allowed.contains(value)) {
                    self.report(at, &format!("can no longer be {value}"));
                }
            }
            None => self.report(at, "could be anything and is one of few values now"),
        }
    }

    fn compare_members(&mut self, at: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (before, now) = (object(old.get("properties")), object(new.get("properties")));
        let (always_before, always_now) = (required(old), required(new));
        for (name, schema) in &before {
            let at = format!("{at}/{name}");
            let Some(changed) = now.get(name) else {
                self.report(&at, "is gone");
                continue;
            };
            self.compare(&at, schema, changed);
            match (always_before.contains(name), always_now.contains(name)) {
                (false, true) => self.report(&at, "was optional and is required"),
                (true, false) => self.report(&at, "was always there and may be absent"),
                (true, true) | (false, false) => {}
            }
        }
        for name in now.keys().filter(|name| !before.contains_key(*name)) {
            let at = format!("{at}/{name}");
            let is_closed = old.get("additionalProperties") == Some(&Value::Bool(false));
            self.report_if(is_closed, &at, "is new in an object that was closed");
            self.report_if(always_now.contains(name), &at, "is new and required");
        }
    }
}

/// The schema itself, where it is a reference. What stands beside a reference is added.
fn resolved(document: &Value, schema: &Value) -> Map<String, Value> {
    let mut members = object(Some(schema));
    while let Some(Value::String(reference)) = members.remove("$ref") {
        let named = reference.strip_prefix('#').and_then(|path| document.pointer(path));
        let named = named.unwrap_or_else(|| panic!("{reference} is not in the document"));
        for (keyword, value) in object(Some(named)) {
            members.entry(keyword).or_insert(value);
        }
    }
    members
}

/// The few values that a schema allows, if they are few: an `enum`, a `const`, or a choice of such.
fn values(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    if let Some(value) = schema.get("const") {
        return Some(vec![value.clone()]);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return Some(values.clone());
    }
    let Some(Value::Array(branches)) = schema.get("oneOf") else { return None };
    let branches: Option<Vec<_>> =
        branches.iter().map(|branch| values(branch.as_object()?)).collect();
    branches.map(|values| values.concat())
}

fn is_less(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_i64().expect("bounds of our schemas are integers");
    number(one) < number(other)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn required(schema: &Map<String, Value>) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
