//! Writes `docs/event-schemas.json` and `docs/public-event-schemas.json`: the schema of every version
//! of every event as it is stored and as it is public, with the types that they share once.

use domain::{EventSchema, event_schemas, public_schema};
use nats::PublicEvent;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "$defs";

/// The stored ones: `events.<aggregate>.<type>.<version>` and `$defs`.
pub(crate) fn stored() -> Value {
    let (events, definitions) = events(|event| event.schema.clone());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "The stored payloads of all events, generated. A part with x-personal is \
                        sealed.",
        "events": events,
        DEFINITIONS: definitions,
    })
}

/// What readers get: `envelope`, and as its member `data` `events.<aggregate>.<type>.<version>`.
pub(crate) fn public() -> Value {
    let public = |event: &EventSchema| public_schema(event).expect("every event has a shape");
    let (events, mut definitions) = events(public);
    // Of what is written: a member that is null is there.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut envelope = generator.into_root_schema_for::<PublicEvent<'static>>().to_value();
    let members = envelope.as_object_mut().expect("a schema is an object");
    members.remove("$schema");
    if let Some(Value::Object(needed)) = members.remove(DEFINITIONS) {
        merge(&mut definitions, needed);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "The events as they are published, generated: the envelope, and what its \
                        member data holds, by type.",
        "envelope": envelope,
        "events": events,
        DEFINITIONS: definitions,
    })
}

fn events(schema: impl Fn(&EventSchema) -> Value) -> (Value, Map<String, Value>) {
    let mut events = json!({});
    let mut definitions = Map::new();
    for event in event_schemas() {
        let mut schema = schema(&event);
        let members = schema.as_object_mut().expect("a schema is an object");
        members.remove("$schema");
        if let Some(Value::Object(needed)) = members.remove(DEFINITIONS) {
            merge(&mut definitions, needed);
        }
        events[event.aggregate_type][event.event_type][event.version.to_string()] = schema;
    }
    (events, definitions)
}

fn merge(definitions: &mut Map<String, Value>, needed: Map<String, Value>) {
    for (name, definition) in needed {
        let there = definitions.entry(name.clone()).or_insert_with(|| definition.clone());
        assert_eq!(
            *there, definition,
            "{name} is public in two shapes; give each a type of its own"
        );
    }
}
