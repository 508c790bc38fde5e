mod tagged;

use crate::public::{PublicShape, PublicShapes, assert_complete};
use crate::schema::payload_schemas;
use cqrs_es::{Aggregate, DomainEvent};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use tagged::Payload;

/// Which event types an aggregate has, each with the version that is written today and those that
/// were written before.
///
/// Implemented by [`event_types!`](crate::event_types), never by hand.
pub trait EventTypes: DomainEvent + JsonSchema + 'static {
    /// `(name, current version)` of every variant, in the order of declaration.
    const TYPES: &'static [(&'static str, u32)];
    /// What older builds wrote and journals still hold.
    const OLDER: &'static [OlderEvent<Self>];
    /// `(event, name of a tag)`: what events of this type are found by besides their stream.
    const TAGS: &'static [(&'static str, &'static str)];
}

/// A version of an event that is no longer written, and how it is read.
#[derive(Debug)]
pub struct OlderEvent<E> {
    /// The stored type name.
    pub event_type: &'static str,
    /// The stored version.
    pub version: u32,
    /// Reads a payload of that version and takes it, step by step, to the event of today.
    pub read: fn(&str) -> Result<E, serde_json::Error>,
    /// The JSON Schema of a payload of that version.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A shape that an event had. [`event_types!`](crate::event_types) implements it by chaining the
/// `From` of each version for the next.
pub trait OlderShape<E>: DeserializeOwned + JsonSchema {
    /// The event of today that says the same.
    fn upcast(self) -> E;
}

/// Implements `DomainEvent` and [`EventTypes`] for an enum of struct variants:
/// `event_types!(CartEvent { CartOpened: 1, ItemAdded: 1 })`. The match is exhaustive, so an event
/// that is not listed does not compile.
///
/// An event that was written in another shape before lists each of its older versions with the
/// struct that reads it. Every struct has a `From` into the next one, the last a `From` into the
/// enum. A version that had another name says so: `1: ItemPutV1 as ItemPut`. An event that is found by a
/// [`Tag`](crate::Tag) says so last: `UserRegistered: 1 tagged EMAIL`.
///
/// ```
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
/// enum LampEvent {
///     LampDimmed { permille: u32 },
/// }
///
/// #[derive(Deserialize, JsonSchema)]
/// struct LampDimmedV1 {
///     percent: u32,
/// }
///
/// impl From<LampDimmedV1> for LampEvent {
///     fn from(old: LampDimmedV1) -> Self {
///         Self::LampDimmed { permille: old.percent * 10 }
///     }
/// }
///
/// domain::event_types!(LampEvent { LampDimmed: 2 <- { 1: LampDimmedV1 } });
///
/// let stored = domain::decode_event::<LampEvent>("LampDimmed", "1", r#"{"percent":40}"#);
/// assert_eq!(stored.ok(), Some(LampEvent::LampDimmed { permille: 400 }));
/// ```
///
/// A version that no struct reads does not compile:
///
/// ```compile_fail
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
/// enum LampEvent {
///     LampDimmed { permille: u32 },
/// }
///
/// domain::event_types!(LampEvent { LampDimmed: 2 });
/// ```
#[macro_export]
macro_rules! event_types {
    ($event:ident { $(
        $variant:ident : $version:literal
        $(<- { $($older:literal : $shape:ident $(as $stored:ident)?),+ $(,)? })?
        $(tagged $tag:path)?
    ),+ $(,)? }) => {
        impl $crate::EventTypes for $event {
            const TYPES: &'static [(&'static str, u32)] =
                &[$((stringify!($variant), $version)),+];

            const OLDER: &'static [$crate::OlderEvent<Self>] = &[$($($(
                $crate::OlderEvent {
                    event_type: $crate::event_types!(@name $variant $($stored)?),
                    version: $older,
                    read: $crate::read_older::<$shape, Self>,
                    schema: <$shape as ::schemars::JsonSchema>::json_schema,
                },
            )+)?)+];

            const TAGS: &'static [(&'static str, &'static str)] =
                &[$($((stringify!($variant), $tag),)?)+];
        }

        $(const _: () = assert!(
            $crate::is_every_version_before($version, &[$($($older),+)?]),
            concat!(stringify!($variant), " needs the shapes of all versions before, in order"),
        );)+

        $($($crate::event_types!(@steps $event $($shape)+);)?)+

        impl ::cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($variant).to_owned()),+ }
            }

            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($version).to_owned()),+ }
            }
        }
    };
    (@name $variant:ident) => { stringify!($variant) };
    (@name $variant:ident $stored:ident) => { stringify!($stored) };
    (@steps $event:ident $last:ident) => {
        impl $crate::OlderShape<$event> for $last {
            fn upcast(self) -> $event {
                <$event as ::core::convert::From<$last>>::from(self)
            }
        }
    };
    (@steps $event:ident $shape:ident $next:ident $($later:ident)*) => {
        impl $crate::OlderShape<$event> for $shape {
            fn upcast(self) -> $event {
                let next = <$next as ::core::convert::From<$shape>>::from(self);
                $crate::OlderShape::<$event>::upcast(next)
            }
        }
        $crate::event_types!(@steps $event $next $($later)*);
    };
}

/// Whether `older` is 1, 2, 3, … up to the version before `current`. For
/// [`event_types!`](crate::event_types).
#[must_use]
pub const fn is_every_version_before(current: u32, older: &[u32]) -> bool {
    let mut index = 0;
    while index < older.len() {
        if older[index] as usize != index + 1 {
            return false;
        }
        index += 1;
    }
    current as usize == older.len() + 1
}

/// Reads the stored form of an older version. For [`event_types!`](crate::event_types).
///
/// # Errors
/// When the payload is not of that shape.
pub fn read_older<S: OlderShape<E>, E>(payload: &str) -> Result<E, serde_json::Error> {
    serde_json::from_str::<S>(payload).map(S::upcast)
}

/// Whether there is an event of that name among these `(name, version)`: for whoever has to name one as text,
/// so that a rename does not compile.
#[must_use]
pub const fn is_event_name(types: &[(&str, u32)], name: &str) -> bool {
    let mut index = 0;
    while index < types.len() {
        if is_same(types[index].0, name) {
            return true;
        }
        index += 1;
    }
    false
}

/// `==`, while it is compiled.
pub(crate) const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

/// The events of one type of aggregates.
#[derive(Debug, Clone, Copy)]
pub struct AggregateEvents {
    /// The aggregate's type name.
    pub aggregate_type: &'static str,
    /// `(name, version)` of what is written today.
    pub current: &'static [(&'static str, u32)],
    /// What of each of its events is public, also of those that were written before.
    pub public: &'static [PublicShape],
    older: fn() -> Vec<(&'static str, u32)>,
    schemas: fn(&mut SchemaGenerator) -> Vec<(&'static str, u32, Schema)>,
}

impl AggregateEvents {
    pub(crate) const fn of<A: Aggregate<Event: PublicShapes>>() -> Self {
        const { assert_complete::<A::Event>() };
        Self {
            aggregate_type: A::TYPE,
            current: A::Event::TYPES,
            public: A::Event::SHAPES,
            older: || A::Event::OLDER.iter().map(|old| (old.event_type, old.version)).collect(),
            schemas: payload_schemas::<A::Event>,
        }
    }

    /// `(name, version)` of everything that a journal may hold: what is written today, then what
    /// was written before.
    #[must_use]
    pub fn stored(&self) -> Vec<(&'static str, u32)> {
        self.current.iter().copied().chain((self.older)()).collect()
    }

    /// `(name, version, schema of the payload)` of the same, in the same order.
    pub(crate) fn schemas(
        &self,
        generator: &mut SchemaGenerator,
    ) -> Vec<(&'static str, u32, Schema)> {
        (self.schemas)(generator)
    }
}

/// A stored event that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error("event {event_type} version {event_version} cannot be decoded: {reason}")]
pub struct DecodeError {
    /// The stored type name.
    pub event_type: String,
    /// The stored version.
    pub event_version: String,
    /// What is wrong with it.
    pub reason: Undecodable,
}

/// What stands in the words of both ways in which an event of a newer build cannot be read, since the
/// first build. Whoever kept such words with an event tries it again by them.
pub const BEYOND_THIS_BUILD: &str = "this build";

/// Why a stored event cannot be read. Two of the words are kept, see [`BEYOND_THIS_BUILD`].
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// The aggregate has no such event: a newer build wrote it.
    #[error("this build does not know the type")]
    UnknownType,
    /// The type has no such version: a newer build wrote it.
    #[error("the newest version that this build knows is {newest}")]
    UnknownVersion {
        /// The last version that this build knows.
        newest: u32,
    },
    /// The text is not what this type and version look like. Never holds field values of personal
    /// data: those are sealed.
    #[error(transparent)]
    Payload(#[from] serde_json::Error),
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

/// Reads a stored payload back from its text, whatever version of the event it was written as.
///
/// # Errors
/// [`DecodeError`] when this build does not know the type or the version, or when the payload does
/// not fit them.
pub fn decode_event<E: EventTypes>(
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<E, DecodeError> {
    decode(event_type, event_version, payload)
}

/// As [`decode_event`], from a payload that somebody has parsed already.
///
/// # Errors
/// As [`decode_event`].
pub fn decode_parsed<E: EventTypes>(
    event_type: &str,
    event_version: &str,
    payload: serde_json::Value,
) -> Result<E, DecodeError> {
    decode(event_type, event_version, payload)
}

fn decode<E: EventTypes>(
    event_type: &str,
    event_version: &str,
    payload: impl Payload,
) -> Result<E, DecodeError> {
    read(event_type, event_version, payload).map_err(|reason| DecodeError {
        event_type: event_type.to_owned(),
        event_version: event_version.to_owned(),
        reason,
    })
}

fn read<E: EventTypes>(
    event_type: &str,
    event_version: &str,
    payload: impl Payload,
) -> Result<E, Undecodable> {
    // Text that is no number is no version that we know; 0 is none either.
    let version = event_version.parse().unwrap_or(0);
    let current = E::TYPES.iter().find(|(name, _)| *name == event_type).map(|(_, version)| version);
    if current == Some(&version) {
        return Ok(payload.into_variant(event_type)?);
    }
    let older = || E::OLDER.iter().filter(|old| old.event_type == event_type);
    if let Some(old) = older().find(|old| old.version == version) {
        return Ok((old.read)(&payload.text())?);
    }
    let newest = current.copied().or_else(|| older().map(|old| old.version).max());
    Err(newest.map_or(Undecodable::UnknownType, |newest| Undecodable::UnknownVersion { newest }))
}
