//! JSON text to a tree, strictly, and the tree's fingerprint.

use super::problem::{FieldError, Problem};
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, de};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// The media type of every answer that is not an error.
pub const JSON_UTF8: &str = "application/json; charset=utf-8";

/// An answer's body as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(
    /// What is sent.
    pub T,
);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => {
                let kind = HeaderValue::from_static(JSON_UTF8);
                ([(CONTENT_TYPE, kind)], Body::from(bytes)).into_response()
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

/// Members that no fingerprint is made of: what people choose themselves can be guessed. Whoever
/// takes one of them compares it himself when a request is repeated.
///
/// A token of a payment provider is not among them. It cannot be guessed, and another card is
/// another request.
pub const SECRET_MEMBERS: [&str; 3] = ["password", "current", "new"];

/// SHA-256 over a parsed JSON value in which the order of members does not count, nor the values of
/// [`SECRET_MEMBERS`]: two bodies that say the same have the same fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(
    /// The digest.
    pub [u8; 32],
);

impl Fingerprint {
    /// The fingerprint of a parsed value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut hasher = Sha256::new();
        feed(&mut hasher, value);
        Self(hasher.finalize().into())
    }
}

/// Parses a body. A member that is named twice is refused: whoever reads the first and whoever
/// reads the last would disagree about what was asked for.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let Strict(value) = serde_json::from_slice(bytes).map_err(|error| refusal(bytes, &error))?;
    let mut pointer = String::new();
    if holds_nul(&value, &mut pointer) {
        return Err(Problem::invalid_field(pointer, "text must not contain NUL"));
    }
    Ok(value)
}

/// RFC 6901: `~` and `/` inside a member's name are escaped.
pub(super) fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

fn refusal(bytes: &[u8], error: &serde_json::Error) -> Problem {
    // A number such as 1e999 is well-formed and out of range. The parser counts it as malformed;
    // only then is the text read once more, keeping track of where it is.
    if error.to_string().starts_with("number out of range") {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let found = serde_path_to_error::deserialize::<_, Strict>(&mut deserializer);
        if let Err(tracked) = found {
            let mut pointer = String::new();
            for segment in tracked.path() {
                push_segment(&mut pointer, &segment.to_string());
            }
            return Problem::field(FieldError::at(pointer, "invalid_field", "number out of range"));
        }
    }
    Problem::malformed_json(format!("The body is not acceptable JSON: {error}."))
}

fn holds_nul(value: &Value, pointer: &mut String) -> bool {
    let parent = pointer.len();
    let found = match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
            pointer.truncate(parent);
            push_segment(pointer, &index.to_string());
            holds_nul(item, pointer)
        }),
        Value::Object(members) => members.iter().any(|(name, member)| {
            pointer.truncate(parent);
            push_segment(pointer, name);
            name.contains('\0') || holds_nul(member, pointer)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    if !found {
        pointer.truncate(parent);
    }
    found
}

/// Every value is fed with a tag and, where it has one, its length: no two trees feed the same
/// bytes.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"z"),
        Value::Bool(value) => hasher.update(if *value { b"t" } else { b"f" }),
        Value::Number(number) => feed_text(hasher, b"n", &number.to_string()),
        Value::String(text) => feed_text(hasher, b"s", text),
        Value::Array(items) => {
            feed_length(hasher, b"a", items.len());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Object(members) => {
            feed_length(hasher, b"o", members.len());
            // Sorted here, because the map's own order is a feature that another crate may switch.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, member) in sorted {
                feed_text(hasher, b"m", name);
                if !SECRET_MEMBERS.contains(&name.as_str()) {
                    feed(hasher, member);
                }
            }
        }
    }
}

fn feed_text(hasher: &mut Sha256, tag: &[u8], text: &str) {
    feed_length(hasher, tag, text.len());
    hasher.update(text.as_bytes());
}

fn feed_length(hasher: &mut Sha256, tag: &[u8], length: usize) {
    hasher.update(tag);
    hasher.update((length as u64).to_be_bytes());
}

/// A tree in which no object names a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(member))) = access.next_entry::<String, Strict>()? {
            if members.insert(name, member).is_some() {
                return Err(de::Error::custom("an object names a member twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// Whether a `Content-Type` names JSON in UTF-8.
pub(super) fn is_json(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application/json")
        && parts.filter(|parameter| !parameter.is_empty()).all(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("charset")
                    && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        })
}
