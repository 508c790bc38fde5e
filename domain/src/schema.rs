//! The JSON Schemas of the stored events, from their types.
//!
//! Everything that was ever stored under a type and version is valid against its schema: a member
//! without which an event still decodes is not required. A schema holds what the types alone know;
//! what decisions add to that is not said.

use crate::AGGREGATES;
use crate::event::EventTypes;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The dialect of all schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where a schema keeps the types that it names.
const DEFINITIONS: &str = "$defs";

/// What a reference to one of them begins with.
const REFERENCE: &str = "#/$defs/";

/// Marks what holds personal data, which the public never sees.
const PERSONAL: &str = "x-personal";

/// One version of one event, as journals hold it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSchema {
    /// The aggregate's type name.
    pub aggregate_type: &'static str,
    /// The event's type name.
    pub event_type: &'static str,
    /// The version of the type's shape.
    pub version: u32,
    /// The JSON Schema of the stored payload, complete in itself. A part with `"x-personal": true`
    /// is sealed.
    pub schema: Value,
}

/// Every version of every event that a journal may hold, aggregate by aggregate, as
/// [`AGGREGATES`] lists them.
#[must_use]
pub fn event_schemas() -> Vec<EventSchema> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schemas = Vec::new();
    for events in AGGREGATES {
        for (event_type, version, schema) in events.schemas(&mut generator) {
            let aggregate_type = events.aggregate_type;
            let schema = schema.to_value();
            schemas.push(EventSchema { aggregate_type, event_type, version, schema });
        }
    }
    let definitions = generator.take_definitions(true);
    for event in &mut schemas {
        event.schema["$schema"] = json!(DIALECT);
        complete(&mut event.schema, &definitions);
    }
    schemas
}

/// The schema of the payload as the public sees it: what is valid against `stored` is, after
/// [`public_payload`](crate::public_payload), valid against this.
#[must_use]
pub fn public_schema(stored: &Value) -> Value {
    let definitions = stored[DEFINITIONS].as_object().cloned().unwrap_or_default();
    let mut schema = stored.clone();
    strip_personal(&mut schema, &definitions);
    let definitions = schema[DEFINITIONS].as_object().cloned().unwrap_or_default();
    complete(&mut schema, &definitions);
    schema
}

/// The schemas of an aggregate's payloads: of today's events, each a branch of the enum's schema,
/// then of the older ones.
pub(crate) fn payload_schemas<E: EventTypes>(
    generator: &mut SchemaGenerator,
) -> Vec<(&'static str, u32, Schema)> {
    let all = E::json_schema(generator);
    let branches = all.get("oneOf").and_then(Value::as_array);
    let payload = |event_type: &str| {
        let branch = branches?.iter().find(|branch| branch["properties"].get(event_type).is_some());
        let mut payload = branch?["properties"][event_type].clone();
        if let Some(description) = branch?.get("description") {
            payload["description"] = description.clone();
        }
        Schema::try_from(payload).ok()
    };
    let current = E::TYPES.iter().map(|(event_type, version)| {
        let payload = payload(event_type).expect("an event is a struct variant of its enum");
        (*event_type, *version, payload)
    });
    let mut schemas: Vec<_> = current.collect();
    for old in E::OLDER {
        schemas.push((old.event_type, old.version, (old.schema)(generator)));
    }
    schemas
}

/// Gives `schema` those of the definitions that it needs, and no others.
fn complete(schema: &mut Value, definitions: &Map<String, Value>) {
    if let Some(members) = schema.as_object_mut() {
        members.remove(DEFINITIONS);
    }
    let mut needed = BTreeSet::new();
    collect_references(schema, definitions, &mut needed);
    if !needed.is_empty() {
        let needed = needed.into_iter().map(|name| (name.to_owned(), definitions[name].clone()));
        schema[DEFINITIONS] = Value::Object(needed.collect());
    }
}

fn collect_references<'a>(
    schema: &Value,
    definitions: &'a Map<String, Value>,
    needed: &mut BTreeSet<&'a str>,
) {
    match schema {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str);
            let name = name.and_then(|reference| reference.strip_prefix(REFERENCE));
            if let Some((name, definition)) = name.and_then(|name| definitions.get_key_value(name))
                && needed.insert(name)
            {
                collect_references(definition, definitions, needed);
            }
            members.values().for_each(|part| collect_references(part, definitions, needed));
        }
        Value::Array(parts) => {
            parts.iter().for_each(|part| collect_references(part, definitions, needed));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes the members and items out that are sealed, at any depth.
fn strip_personal(schema: &mut Value, definitions: &Map<String, Value>) {
    let Some(parts) = schema.as_object_mut() else { return };
    let mut not_always = BTreeSet::new();
    if let Some(members) = parts.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, member) in members.iter() {
            if is_ever_personal(member, definitions) {
                not_always.insert(name.clone());
            }
        }
        members.retain(|_, member| !is_personal(member, definitions));
    }
    if let Some(required) = parts.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !not_always.contains(name)));
    }
    if parts.get("items").is_some_and(|items| is_personal(items, definitions)) {
        parts.remove("items");
        parts.insert("maxItems".to_owned(), json!(0));
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(branches) = parts.get_mut(choice).and_then(Value::as_array_mut) {
            branches.retain(|branch| !is_personal(branch, definitions));
        }
    }
    for (keyword, part) in parts {
        match (keyword.as_str(), part) {
            ("properties" | DEFINITIONS, Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| strip_personal(schema, definitions));
            }
            ("anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| strip_personal(schema, definitions));
            }
            ("items", schema) => strip_personal(schema, definitions),
            _ => {}
        }
    }
}

fn is_personal(schema: &Value, definitions: &Map<String, Value>) -> bool {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(REFERENCE));
    let named = name.and_then(|name| definitions.get(name));
    named.unwrap_or(schema)[PERSONAL] == json!(true)
}

/// Whether some of the values that `schema` allows are sealed, as with `Option<Sealed<…>>`.
fn is_ever_personal(schema: &Value, definitions: &Map<String, Value>) -> bool {
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|choice| schema[choice].as_array());
    is_personal(schema, definitions)
        || choices.flatten().any(|branch| is_personal(branch, definitions))
}
