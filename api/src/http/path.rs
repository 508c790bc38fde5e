//! The parts of a path as types: what cannot name anything names nothing.

use super::problem::Problem;
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};
use std::fmt;
use uuid::Uuid;

/// The parameters of the route's path as a `T`: one value, or a tuple in the path's order.
///
/// # Errors
/// As an extractor: 404 `not_found` when a part does not read as its type. Somebody who guesses
/// learns nothing from the difference between a malformed and an absent name.
#[derive(Debug, Clone)]
pub struct Path<T>(
    /// The value or the tuple.
    pub T,
);

impl<T: JsonSchema> Takes for Path<T> {
    fn describe(sketch: &mut Sketch<'_>) {
        sketch.path::<T>();
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::not_found())
    }
}

/// An id in a path, in its one canonical spelling: 36 characters, lower case, hyphenated.
///
/// A second spelling of the same id would pass other permission rules than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(inline, description = "An id, in its one spelling.")]
pub struct Id<T>(
    /// The id.
    pub T,
);

impl<T: From<Uuid>> Id<T> {
    /// Reads the canonical spelling; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        let mut buffer = Uuid::encode_buffer();
        (*id.as_hyphenated().encode_lower(&mut buffer) == *text).then(|| Self(id.into()))
    }
}

impl<T: fmt::Display> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, T: From<Uuid>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected an id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_of_an_id_is_one() {
        let id = "0199d3a2-7c41-7000-8000-00000000abcd";
        assert_eq!(Id::<Uuid>::parse(id).map(|id| id.to_string()).as_deref(), Some(id));
        for other in [
            "0199D3A2-7C41-7000-8000-00000000ABCD",
            "0199d3a27c4170008000000000000abcd",
            "0199d3a27c417000800000000000abcd",
            "{0199d3a2-7c41-7000-8000-00000000abcd}",
            "urn:uuid:0199d3a2-7c41-7000-8000-00000000abcd",
            "",
            "7",
        ] {
            assert_eq!(Id::<Uuid>::parse(other), None, "{other}");
        }
    }
}
