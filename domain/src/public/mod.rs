//! What the public sees of an event's fields: those that [`shapes`] lists, and no others.
//!
//! A stored field is public only where somebody said so. [`shapes`] is apart from the stored types on
//! purpose: whoever adds a field for a decision or a read model changes no contract, and a change of
//! the contract is a change of that one file. A version of an event that is not listed there does not
//! compile, and neither does one that does not exist; a member that does not exist, that is an object
//! and not spelled out, or that is sealed, fails `domain/tests/events/public.rs`.
//!
//! An event of a type or version that this build does not know has no shape: a newer build wrote it,
//! and nobody here can say what of it is public.

mod shapes;

use crate::AGGREGATES;
use crate::event::{EventTypes, OlderEvent, is_same};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// The public shape of every version of every event of an aggregate. Implemented in [`shapes`].
pub trait PublicShapes: EventTypes {
    /// In the order of [`EventTypes::TYPES`], then of [`EventTypes::OLDER`].
    const SHAPES: &'static [PublicShape];
}

/// What of one version of an event is public.
#[derive(Debug, PartialEq, Eq)]
pub struct PublicShape {
    /// The event's type name.
    pub event_type: &'static str,
    /// The version of the type's shape.
    pub version: u32,
    /// The members of its payload that are public, and those that were.
    pub members: &'static [PublicMember],
}

/// A member of an object that is public.
#[derive(Debug, PartialEq, Eq)]
pub struct PublicMember {
    /// Its name.
    pub name: &'static str,
    /// What of the object that it is, or of those in the list that it is, is public. None where all of it
    /// is: a text, a number, a list of such, an amount of money.
    pub members: Option<&'static [Self]>,
    /// Whether it was public once and is not any more: streams may hold it, nothing writes it.
    pub withdrawn: bool,
}

/// Which of the members are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    /// Those that are public.
    Public,
    /// Those as well that are withdrawn.
    Once,
}

impl Members {
    fn hold(self, member: &PublicMember) -> bool {
        self == Self::Once || !member.withdrawn
    }
}

/// Shapes by event type; a type belongs to one aggregate.
static BY_TYPE: LazyLock<HashMap<&'static str, Vec<&'static PublicShape>>> = LazyLock::new(|| {
    let mut by_type = HashMap::<_, Vec<_>>::new();
    for shape in AGGREGATES.iter().flat_map(|events| events.public) {
        by_type.entry(shape.event_type).or_default().push(shape);
    }
    by_type
});

impl PublicShape {
    /// That of a stored event; none when this build does not know its type or its version.
    #[must_use]
    pub fn of(event_type: &str, event_version: &str) -> Option<&'static Self> {
        let version: u32 = event_version.parse().ok()?;
        BY_TYPE.get(event_type)?.iter().find(|shape| shape.version == version).copied()
    }

    /// Appends the public part of a stored payload to `out`, on one line: an object of the public
    /// members that the payload has, in the order in which they are listed. Their values are the bytes
    /// that are stored.
    ///
    /// # Errors
    /// When the payload is no JSON, or not of this shape. Then what was appended means nothing.
    pub fn write(&self, payload: &str, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        write_part(payload, (self.members, Members::Public), out)
    }

    /// The same with the members that were withdrawn since: the bytes that builds of before wrote. Only to
    /// recognise what a stream holds.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn write_former(&self, payload: &str, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        write_part(payload, (self.members, Members::Once), out)
    }

    /// The members that were withdrawn, each with its way through the payload: `rule/note`.
    #[must_use]
    pub fn withdrawn(&self) -> Vec<String> {
        withdrawn(self.members)
    }
}

fn withdrawn(members: &[PublicMember]) -> Vec<String> {
    let mut found = vec![];
    for PublicMember { name, members, withdrawn: is_withdrawn } in members {
        found.extend(is_withdrawn.then(|| (*name).to_owned()));
        let inner = members.map(withdrawn).unwrap_or_default();
        found.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
    }
    found
}

fn write_part(
    stored: &str,
    (members, which): (&'static [PublicMember], Members),
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(stored);
    json.deserialize_any(Part { members, which, out })?;
    json.end()
}

/// A value as it is stored, but on one line: a reader of NDJSON ends an event at a line's end.
fn write_whole(stored: &RawValue, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let stored = stored.get();
    if stored.contains(['\n', '\r']) {
        // Between members only: within a text JSON has them escaped.
        return serde_json::to_writer(out, &serde_json::from_str::<Value>(stored)?);
    }
    out.extend_from_slice(stored.as_bytes());
    Ok(())
}

/// Writes what is public of an object, or of each object of a list, while it is read.
struct Part<'a> {
    members: &'static [PublicMember],
    which: Members,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, a list of objects, or null")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut stored: A) -> Result<(), A::Error> {
        let Self { members, which, out } = self;
        let mut values: Vec<Option<&RawValue>> = vec![None; members.len()];
        while let Some(index) = stored.next_key_seed(IndexIn(members))? {
            match index {
                Some(index) => values[index] = Some(stored.next_value()?),
                None => {
                    stored.next_value::<IgnoredAny>()?;
                }
            }
        }
        let mut before = b'{';
        for (member, value) in members.iter().zip(values) {
            let PublicMember { name, members, withdrawn: _ } = member;
            let Some(value) = value.filter(|_| which.hold(member)) else { continue };
            out.extend_from_slice(&[before, b'"']);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            let written = match members {
                None => write_whole(value, out),
                Some(members) => write_part(value.get(), (members, which), out),
            };
            written.map_err(A::Error::custom)?;
            before = b',';
        }
        if before == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut stored: A) -> Result<(), A::Error> {
        let Self { members, which, out } = self;
        out.push(b'[');
        let begin = out.len();
        while let Some(item) = stored.next_element::<&RawValue>()? {
            if out.len() > begin {
                out.push(b',');
            }
            write_part(item.get(), (members, which), out).map_err(A::Error::custom)?;
        }
        out.push(b']');
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
}

/// Finds which of these members a name stands for, if it is one.
struct IndexIn(&'static [PublicMember]);

impl<'de> DeserializeSeed<'de> for IndexIn {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for IndexIn {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|member| member.name == name))
    }
}

/// Whether `shapes` are those of exactly the versions that an aggregate's events have, in their order;
/// if not, the compilation ends with the name of the first event that differs.
pub(crate) const fn assert_complete<E: PublicShapes>() {
    let (current, older, shapes) = (E::TYPES, E::OLDER, E::SHAPES);
    let mut index = 0;
    while index < current.len() + older.len() {
        let (event_type, version) = if index < current.len() {
            current[index]
        } else {
            let OlderEvent { event_type, version, .. } = older[index - current.len()];
            (event_type, version)
        };
        if index >= shapes.len()
            || !is_same(shapes[index].event_type, event_type)
            || shapes[index].version != version
        {
            panic!("{}", event_type);
        }
        index += 1;
    }
    assert!(shapes.len() == index, "a public shape is of no event");
}
