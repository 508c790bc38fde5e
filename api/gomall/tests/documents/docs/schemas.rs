//! Writes `docs/event-schemas.json`: the schema of every version of every event, with the types that
//! they share once.

use domain::event_schemas;
use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "$defs";

/// The whole document: `events.<aggregate>.<type>.<version>` and `$defs`.
pub(crate) fn document() -> Value {
    let mut events = json!({});
    let mut definitions = Map::new();
    for event in event_schemas() {
        let mut schema = event.schema;
        let members = schema.as_object_mut().expect("a schema is an object");
        members.remove("$schema");
        if let Some(Value::Object(needed)) = members.remove(DEFINITIONS) {
            definitions.extend(needed);
        }
        events[event.aggregate_type][event.event_type][event.version.to_string()] = schema;
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "The stored payloads of all events, generated. A part with x-personal is \
                        sealed, and left out of what the public sees.",
        "events": events,
        DEFINITIONS: definitions,
    })
}
