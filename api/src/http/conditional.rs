//! `ETag`, `If-Match` and `If-None-Match`.

use super::problem::Problem;
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use domain::Position;
use serde_json::json;
use std::convert::Infallible;
use std::fmt;

/// The most entity tags that one header may list.
const MAX_TAGS: usize = 16;

/// What a single resource is at: `"<aggregate version>.<row position>"`.
///
/// The version says what a change is based on. The position also moves when something else that
/// the resource shows has changed, such as the stock of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag {
    /// The aggregate's version.
    pub version: u64,
    /// The position of the last event that the row has seen.
    pub position: Position,
}

impl Etag {
    /// A tag of an aggregate at `version` whose row is at `position`.
    #[must_use]
    pub fn new(version: u64, position: Position) -> Self {
        Self { version, position }
    }

    /// The header's value, quotes included.
    #[must_use]
    pub fn header_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits, a dot and quotes are visible ASCII")
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}.{}\"", self.version, self.position)
    }
}

impl IntoResponseParts for Etag {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert(ETAG, self.header_value());
        Ok(parts)
    }
}

/// The versions that a change may be based on, from `If-Match`.
///
/// Only the version of a tag counts: a product whose stock moved meanwhile is still the product
/// that the caller wants to change. A tag weakened by a proxy counts as well, for the same reason.
///
/// # Errors
/// As an extractor: 428 `precondition_required` when the header is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever is there.
    Any,
    /// One of these; a tag that is not ours matches no version, so the list may be empty.
    Versions(Vec<u64>),
}

impl Takes for IfMatch {
    fn describe(sketch: &mut Sketch<'_>) {
        let description = "The `ETag` of what the change is based on; `*` takes whatever is there.";
        sketch.header("If-Match", true, description, tags_schema());
        sketch.answers(412);
        sketch.answers(428);
        sketch.gives("ETag");
    }
}

impl IfMatch {
    /// Compares with the version that the resource is at.
    ///
    /// # Errors
    /// 412 `version_conflict`.
    pub fn check(&self, current: u64) -> Result<(), Problem> {
        match self {
            Self::Any => Ok(()),
            Self::Versions(versions) if versions.contains(&current) => Ok(()),
            Self::Versions(_) => Err(Problem::version_conflict()),
        }
    }

    /// The one version that the command bus shall expect; nothing for `*`.
    ///
    /// # Errors
    /// 412 `version_conflict` when the header names no version of ours, or several: a decision is
    /// made on one.
    pub fn version(&self) -> Result<Option<u64>, Problem> {
        match self {
            Self::Any => Ok(None),
            Self::Versions(versions) => match versions.as_slice() {
                [version] => Ok(Some(*version)),
                _ => Err(Problem::version_conflict()),
            },
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if_match(&parts.headers).ok_or_else(Problem::precondition_required)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(if_match(&parts.headers))
    }
}

fn if_match(headers: &HeaderMap) -> Option<IfMatch> {
    let tags = tags(headers, IF_MATCH)?;
    if tags == ["*"] {
        return Some(IfMatch::Any);
    }
    let mut versions: Vec<u64> =
        tags.iter().filter_map(|tag| parse(tag)).map(|tag| tag.version).collect();
    versions.dedup();
    Some(IfMatch::Versions(versions))
}

/// The tags that the caller already has, from `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    /// Answers a GET: 304 without a body when the caller already has `etag`, else 200 with `body`;
    /// both carry the tag.
    #[must_use]
    pub fn answer(&self, etag: Etag, body: impl IntoResponse) -> Response {
        if self.covers(etag) {
            (StatusCode::NOT_MODIFIED, etag, ()).into_response()
        } else {
            (etag, body).into_response()
        }
    }

    /// Whether the caller already has `etag`; all of the tag counts.
    #[must_use]
    pub fn covers(&self, etag: Etag) -> bool {
        self.0.iter().any(|tag| tag == "*" || parse(tag) == Some(etag))
    }
}

impl Takes for IfNoneMatch {
    fn describe(sketch: &mut Sketch<'_>) {
        let description = "The `ETag` of what is known already; 304 when it is still so.";
        sketch.header("If-None-Match", false, description, tags_schema());
        sketch.answers(304);
        sketch.gives_with(304, "ETag");
        sketch.gives("ETag");
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let tags = tags(&parts.headers, IF_NONE_MATCH).unwrap_or_default();
        Ok(Self(tags.into_iter().map(str::to_owned).collect()))
    }
}

/// Any text is taken: what is no tag of ours is like nothing.
fn tags_schema() -> serde_json::Value {
    json!({"type": "string", "examples": ["\"3.41\""]})
}

/// The header's tags, quotes included; those past [`MAX_TAGS`] are not looked at. None when there
/// is no such header.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<&str>> {
    if !headers.contains_key(&name) {
        return None;
    }
    let values = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok());
    // A comma inside a tag would split it; none of ours has one, so such a tag is foreign anyway.
    let tags = values.flat_map(|value| value.split(',')).map(str::trim);
    Some(tags.filter(|tag| !tag.is_empty()).take(MAX_TAGS).collect())
}

/// What proxies append to a tag, inside its quotes, when they compress the answer.
const PROXIES_SUFFIXES: [&str; 4] = ["-gzip", "-br", "-zstd", "-deflate"];

/// Reads a tag of ours, in the one spelling in which we write it or in what a proxy makes of it.
fn parse(tag: &str) -> Option<Etag> {
    let strong = tag.strip_prefix("W/").unwrap_or(tag);
    let ours = strong.strip_prefix('"')?.strip_suffix('"')?;
    let ours = PROXIES_SUFFIXES.iter().find_map(|suffix| ours.strip_suffix(suffix)).unwrap_or(ours);
    let (version, position) = ours.split_once('.')?;
    let etag = Etag { version: version.parse().ok()?, position: position.parse().ok()? };
    (format!("{}.{}", etag.version, etag.position) == ours).then_some(etag)
}

#[cfg(test)]
#[path = "conditional_tests.rs"]
mod tests;
