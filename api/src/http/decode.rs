//! From parsed JSON or query text to a typed value, with structured reasons when it does not fit.
//!
//! serde reports mismatches as text of the format's own error type. This is a format whose errors
//! keep apart what the contract keeps apart (unknown, absent, invalid), and which is strict where
//! serde's derived code is lax: every member that the type does not name is an error even without
//! `deny_unknown_fields`, and a list is never taken for an object.
//!
//! It is also the format of what comes from outside: types of text are given it as such, and take it to their one form
//! (see [`domain::FROM_OUTSIDE`]).

use domain::FROM_OUTSIDE;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserialize, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use std::fmt;

/// Where and why a value does not fit a type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The members and indexes that lead to the offending value, outermost first.
    pub(super) path: Vec<String>,
    /// Why.
    pub(super) reason: Reason,
}

/// What is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The type knows no such member.
    Unknown,
    /// The type needs it.
    Missing,
    /// It is there, with a wrong type or out of range; says what was expected.
    Invalid(String),
}

/// Reads a `T` from a JSON tree.
pub(super) fn from_json<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(Node(value)).map_err(misfit)
}

/// Reads a `T` from decoded query parameters, each name at most once.
pub(super) fn from_pairs<T: de::DeserializeOwned>(
    pairs: Vec<(String, String)>,
) -> Result<T, Misfit> {
    let pairs = pairs.into_iter().map(|(name, text)| (name, Word(text)));
    serde_path_to_error::deserialize(MapDeserializer::<_, Mismatch>::new(pairs)).map_err(misfit)
}

fn misfit(error: serde_path_to_error::Error<Mismatch>) -> Misfit {
    let mut path = segments(error.path());
    let reason = match error.into_inner() {
        Mismatch::UnknownName(name) => {
            // The name is being read when it is found unknown; whether the tracker has it as its
            // last segment already depends on how the type reads names.
            if path.last() != Some(&name) {
                path.push(name);
            }
            Reason::Unknown
        }
        Mismatch::UnknownMember => Reason::Unknown,
        Mismatch::Missing(name) => {
            path.push(name.to_owned());
            Reason::Missing
        }
        Mismatch::Invalid(message) => Reason::Invalid(message),
    };
    Misfit { path, reason }
}

fn segments(path: &Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

/// The error type of our two formats.
#[derive(Debug)]
enum Mismatch {
    /// A name that the type refuses; the value was not looked at.
    UnknownName(String),
    /// A member whose value the type wants to ignore.
    UnknownMember,
    Missing(&'static str),
    Invalid(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName(name) => write!(f, "unknown {name}"),
            Self::UnknownMember => f.write_str("unknown"),
            Self::Missing(name) => write!(f, "missing {name}"),
            Self::Invalid(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Invalid(message.to_string())
    }

    // What was sent is not repeated: it may be a password.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Invalid(format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Invalid(format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Invalid(format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownName(name.to_owned())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

/// A place in a JSON tree.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

impl<'de> IntoDeserializer<'de, Mismatch> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Node));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(_) => visitor.visit_map(self.members()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(text) if name == FROM_OUTSIDE => visitor.visit_str(text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Mismatch::Invalid("expected an object".into())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Object(members) if members.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(self.members()))
            }
            _ => Err(Mismatch::Invalid("expected one of the known names".into())),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::UnknownMember)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

type Members<'a> =
    MapDeserializer<'a, Box<dyn Iterator<Item = (&'a str, Node<'a>)> + 'a>, Mismatch>;

impl<'a> Node<'a> {
    fn members(self) -> Members<'a> {
        let members = self.0.as_object().into_iter().flatten();
        MapDeserializer::new(Box::new(members.map(|(name, value)| (name.as_str(), Node(value)))))
    }
}

/// A query parameter's text, read as whatever the type asks for.
struct Word(String);

impl<'de> IntoDeserializer<'de, Mismatch> for Word {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Word {
    fn number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Mismatch> {
        // The visitor checks the range of its own type. `parse` would let a plus sign through.
        if self.0.starts_with('+') {
            Err(Mismatch::Invalid("expected a whole number".into()))
        } else if let Ok(value) = self.0.parse::<u64>() {
            visitor.visit_u64(value)
        } else if let Ok(value) = self.0.parse::<i64>() {
            visitor.visit_i64(value)
        } else {
            Err(Mismatch::Invalid("expected a whole number".into()))
        }
    }
}

macro_rules! numbers {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.number(visitor)
        }
    )+};
}

impl<'de> Deserializer<'de> for Word {
    type Error = Mismatch;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_string(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Mismatch::Invalid("expected true or false".into())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == FROM_OUTSIDE {
            visitor.visit_str(&self.0)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::UnknownMember)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier
    }
}
