//! The JSON Schemas of the stored events, from their types.
//!
//! Everything that was ever stored under a type and version is valid against its schema: a member
//! without which an event still decodes is not required. A schema holds what the types alone know;
//! what decisions add to that is not said.

use crate::AGGREGATES;
use crate::event::EventTypes;
use crate::public::{PublicMember, PublicShape};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The dialect of all schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where a schema keeps the types that it names.
const DEFINITIONS: &str = "$defs";

/// What a reference to one of them begins with.
const REFERENCE: &str = "#/$defs/";

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

/// The schema of an event's payload as the public sees it: what is valid against the stored one is,
/// after [`PublicShape::write`], valid against this.
///
/// None for an event that has no public shape. Every event of [`AGGREGATES`] has one.
///
/// # Panics
/// When a public member is not in the stored schema, which the tests rule out.
#[must_use]
pub fn public_schema(event: &EventSchema) -> Option<Value> {
    let shape = PublicShape::of(event.event_type, &event.version.to_string())?;
    Some(part_of_schema(&event.schema, shape.members))
}

fn part_of_schema(stored: &Value, members: &'static [PublicMember]) -> Value {
    let mut schema = stored.clone();
    let stored = stored[DEFINITIONS].as_object().cloned().unwrap_or_default();
    let mut part = Part { definitions: stored, kept: BTreeMap::new() };
    part.keep(&mut schema, members);
    complete(&mut schema, &part.definitions);
    schema
}

/// Takes what is not public out of a schema and out of the types that it names.
struct Part {
    definitions: Map<String, Value>,
    /// By type, what has been kept of it.
    kept: BTreeMap<String, &'static [PublicMember]>,
}

impl Part {
    fn keep(&mut self, schema: &mut Value, members: &'static [PublicMember]) {
        if let Some(name) = referenced(schema).map(str::to_owned) {
            if let Some(kept) = self.kept.insert(name.clone(), members) {
                assert_eq!(kept, members, "one event has {name} in two public shapes");
                return;
            }
            let mut definition = self.definitions[&name].clone();
            self.keep(&mut definition, members);
            self.definitions.insert(name, definition);
            return;
        }
        for keyword in ["anyOf", "oneOf"] {
            for branch in
                schema.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten()
            {
                self.keep(branch, members);
            }
        }
        if let Some(items) = schema.get_mut("items") {
            self.keep(items, members);
        }
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|name, _| is_public(members, name));
            for member in members.iter().filter(|member| !member.withdrawn) {
                let property = properties.get_mut(member.name);
                let property = property.unwrap_or_else(|| panic!("no {} is stored", member.name));
                if let Some(members) = member.members {
                    self.keep(property, members);
                }
            }
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name.as_str().is_some_and(|name| is_public(members, name)));
        }
    }
}

fn is_public(members: &[PublicMember], name: &str) -> bool {
    members.iter().any(|member| member.name == name && !member.withdrawn)
}

/// The type that a schema is only a reference to.
fn referenced(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn whole(name: &'static str) -> PublicMember {
        PublicMember { name, members: None, withdrawn: false }
    }

    const fn part(name: &'static str, members: &'static [PublicMember]) -> PublicMember {
        PublicMember { name, members: Some(members), withdrawn: false }
    }

    #[test]
    fn what_is_not_public_is_taken_out_of_a_schema_at_any_depth() {
        const OPEN: &[PublicMember] =
            &[whole("open"), PublicMember { name: "withdrawn", members: None, withdrawn: true }];
        const MEMBERS: &[PublicMember] =
            &[whole("id"), part("deep", OPEN), part("perhaps", OPEN), part("several", OPEN)];
        let deep = json!({ "$ref": "#/$defs/Deep" });
        let stored = json!({
            "type": "object",
            "properties": {
                "id": { "type": "integer" },
                "secret": { "$ref": "#/$defs/Sealed" },
                "deep": deep,
                "perhaps": { "anyOf": [deep, { "type": "null" }] },
                "several": { "type": "array", "items": deep },
            },
            "required": ["id", "secret", "several"],
            "$defs": {
                "Deep": {
                    "type": "object",
                    "properties": {
                        "closed": { "type": "string" },
                        "open": { "type": "string" },
                        "withdrawn": { "type": "string" },
                    },
                    "required": ["closed", "open", "withdrawn"],
                },
                "Sealed": { "type": "object", "x-personal": true },
            },
        });
        let public = json!({
            "type": "object",
            "properties": {
                "id": { "type": "integer" },
                "deep": deep,
                "perhaps": { "anyOf": [deep, { "type": "null" }] },
                "several": { "type": "array", "items": deep },
            },
            "required": ["id", "several"],
            "$defs": {
                "Deep": {
                    "type": "object",
                    "properties": { "open": { "type": "string" } },
                    "required": ["open"],
                },
            },
        });
        assert_eq!(part_of_schema(&stored, MEMBERS), public);
    }
}
