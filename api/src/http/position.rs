//! `Gomall-Position`: reading what one has just written.

use super::problem::Problem;
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};
use serde_json::json;
use std::convert::Infallible;

/// The header's name.
pub const GOMALL_POSITION: HeaderName = HeaderName::from_static("gomall-position");

/// The position after a command, as a part of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(
    /// The position of the command's last event, or the journal's head when it did nothing.
    pub domain::Position,
);

impl IntoResponseParts for Position {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert(GOMALL_POSITION, HeaderValue::from(self.0.get()));
        Ok(parts)
    }
}

/// The position that a read must have reached; the start when the caller does not mind.
///
/// # Errors
/// As an extractor: 422 `invalid_parameter` when the header is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLeast(
    /// The position.
    pub domain::Position,
);

impl From<AtLeast> for domain::Position {
    fn from(position: AtLeast) -> Self {
        position.0
    }
}

impl Takes for AtLeast {
    fn describe(sketch: &mut Sketch<'_>) {
        let description = "The answer is at least as new as the command that answered with it.";
        let schema = json!({"type": "integer", "format": "int64", "minimum": 0});
        sketch.header("Gomall-Position", false, description, schema);
        sketch.answers(422);
        sketch.answers(503);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let number = number(&parts.headers, &GOMALL_POSITION)?;
        Ok(Self(domain::Position::new(number.unwrap_or(0))))
    }
}

/// A header that holds one decimal number.
///
/// # Errors
/// 422 `invalid_parameter` for everything else.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    // `parse` alone would let a plus sign through.
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // The journal counts in a signed 64-bit column.
    let parsed = digits.and_then(|text| text.parse().ok()).filter(|n| *n <= i64::MAX as u64);
    match (parsed, more) {
        (Some(parsed), None) => Ok(Some(parsed)),
        _ => Err(Problem::invalid_parameter(name.as_str(), "expected one whole number")),
    }
}

/// Marks an answer that was given before: `Idempotent-Replayed: true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed(
    /// Whether it was.
    pub bool,
);

impl IntoResponseParts for Replayed {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if self.0 {
            let name = HeaderName::from_static("idempotent-replayed");
            parts.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        Ok(parts)
    }
}

/// `Policy-Version`: the version of the permission rules after a change to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyVersion(
    /// The version.
    pub u64,
);

/// The header's name.
pub const POLICY_VERSION: HeaderName = HeaderName::from_static("policy-version");

impl IntoResponseParts for PolicyVersion {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert(POLICY_VERSION, HeaderValue::from(self.0));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_one_plain_number() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(GOMALL_POSITION, HeaderValue::from_static(value));
            }
            number(&headers, &GOMALL_POSITION).map_err(|problem| problem.code())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["0"]), Ok(Some(0)));
        assert_eq!(read(&["9223372036854775807"]), Ok(Some(i64::MAX as u64)));
        for bad in ["", "-1", "+1", "1.0", "x", "9223372036854775808", "1 2"] {
            assert_eq!(read(&[bad]), Err("invalid_parameter"), "{bad:?}");
        }
        assert_eq!(read(&["1", "1"]), Err("invalid_parameter"));
    }
}
