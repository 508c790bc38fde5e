use cqrs_es::DomainEvent;

/// Which event types an aggregate has, each with the version that is written today.
///
/// Implemented by [`event_types!`](crate::event_types), never by hand.
pub trait EventTypes: DomainEvent {
    /// `(name, current version)` of every variant, in the order of declaration.
    const TYPES: &'static [(&'static str, u32)];
}

/// Implements `DomainEvent` and [`EventTypes`](crate::EventTypes) for an enum of struct variants:
/// `event_types!(CartEvent { CartOpened: 1, ItemAdded: 1 })`. The match is exhaustive, so an event
/// that is not listed does not compile.
#[macro_export]
macro_rules! event_types {
    ($event:ident { $($variant:ident : $version:literal),+ $(,)? }) => {
        impl $event {
            /// `(name, current version)` of every event of this aggregate.
            pub const TYPES: &'static [(&'static str, u32)] =
                &[$((stringify!($variant), $version)),+];
        }

        impl $crate::EventTypes for $event {
            const TYPES: &'static [(&'static str, u32)] = Self::TYPES;
        }

        impl ::cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($variant).to_owned()),+ }
            }

            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($version).to_owned()),+ }
            }
        }
    };
}

/// A stored event that this build cannot read: a damaged payload, or a type of a newer build.
#[derive(Debug, thiserror::Error)]
#[error("event {event_type} version {event_version} cannot be decoded: {reason}")]
pub struct DecodeError {
    /// The stored type name.
    pub event_type: String,
    /// The stored version.
    pub event_version: String,
    /// What the decoder said. Never holds field values of personal data: those are sealed.
    pub reason: serde_json::Error,
}

/// The JSON object of an event's fields, as the journal stores it: `{"sku":"…"}` without the type
/// name, which has a column of its own.
///
/// # Errors
/// Only if a field's `Serialize` fails, which no event of ours does.
pub fn encode_event<E: DomainEvent>(event: &E) -> Result<String, serde_json::Error> {
    let mut tagged = serde_json::to_string(event)?;
    // serde writes a struct variant as {"Name":{…}}; the inner object is what we keep.
    let start = event.event_type().len() + r#"{"":"#.len();
    tagged.truncate(tagged.len() - 1);
    tagged.drain(..start);
    Ok(tagged)
}

/// Reads a stored payload back from its text.
///
/// # Errors
/// [`DecodeError`] when type, version and payload do not fit an event of `E`.
pub fn decode_event<E: DomainEvent>(
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<E, DecodeError> {
    // Event types are Rust identifiers, so nothing needs escaping.
    let tagged = format!(r#"{{"{event_type}":{payload}}}"#);
    serde_json::from_str(&tagged).map_err(|reason| DecodeError {
        event_type: event_type.to_owned(),
        event_version: event_version.to_owned(),
        reason,
    })
}
