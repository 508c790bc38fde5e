//! What a request says: its body, its query and the parts of its path, as types.

use super::decode::{self, Misfit, Reason};
use super::json::{self, Fingerprint};
use super::problem::{FieldError, Problem};
use crate::openapi::takes::{Sketch, Takes};
use crate::server::{Held, Share};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use futures::StreamExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The largest body that is read, where a route does not say less.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The largest body of a route that anybody may call.
pub const MAX_SIGN_IN_BYTES: usize = 4 * 1024;

/// The most parameters of a query.
const MAX_PARAMETERS: usize = 32;

/// How long a body may take to arrive: a megabyte over a slow mobile link, and no longer, because
/// a client that dribbles holds a connection and a task.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body that is a `T`, and nothing but a `T`: members that `T` does not name are refused.
///
/// It has at most `MOST` bytes. An empty body reads as `{}`, so that a route whose members are all optional needs none.
///
/// # Errors
/// As an extractor: 415, 413, 408, 400 `malformed_json`, 422 `unknown_field`, `missing_field`,
/// `invalid_field`.
#[derive(Debug, Clone)]
pub struct Body<T, const MOST: usize = MAX_BODY_BYTES> {
    /// What was sent.
    pub value: T,
    /// Tells another body under the same idempotency key apart from a retry.
    pub fingerprint: Fingerprint,
}

impl<T: JsonSchema, const MOST: usize> Takes for Body<T, MOST> {
    fn describe(sketch: &mut Sketch<'_>) {
        sketch.body::<T>();
        // Also where an empty one is taken: a client may send more.
        [400, 408, 413, 415, 422].into_iter().for_each(|status| sketch.answers(status));
    }
}

impl<S: Send + Sync, T: DeserializeOwned, const MOST: usize> FromRequest<S> for Body<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let acceptable = headers.get(CONTENT_TYPE).is_some_and(json::is_json)
            && headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
        // A body that is announced in another format is not read at all.
        if !acceptable && announces_body(headers) {
            return Err(Problem::unsupported_media_type());
        }
        let BodyBytes { bytes, _held } = read_body(request, MOST).await?;
        let tree = match (bytes.is_empty(), acceptable) {
            (true, _) => Value::Object(Map::new()),
            (false, true) => json::parse(&bytes)?,
            (false, false) => return Err(Problem::unsupported_media_type()),
        };
        let value = decode::from_json(&tree).map_err(body_problem)?;
        Ok(Self { value, fingerprint: Fingerprint::of(&tree) })
    }
}

/// A body as it came. It counts as what its sender has in flight until this is dropped.
pub struct BodyBytes {
    /// The bytes.
    pub bytes: Bytes,
    _held: Option<Held>,
}

/// Reads a whole body of at most `most` bytes, within [`BODY_READ_TIMEOUT`]; for routes that need
/// the bytes as they came, such as a signed notification.
///
/// # Errors
/// 413 `body_too_large`, 408 `body_timeout`, 400 when the client went away, 503 `overloaded` when its address, or
/// everybody, has too much in flight.
pub async fn read_body(request: Request, most: usize) -> Result<BodyBytes, Problem> {
    let announced = announced_length(request.headers());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(Problem::body_too_large(most));
    }
    // Requests that came without a connection are not counted.
    let held = request.extensions().get::<Arc<Share>>().map(Share::nothing);
    let chunks = request.into_body().into_data_stream();
    tokio::time::timeout(BODY_READ_TIMEOUT, collect(chunks, most, held))
        .await
        .unwrap_or_else(|_| Err(Problem::body_timeout()))
}

async fn collect(
    mut chunks: axum::body::BodyDataStream,
    most: usize,
    mut held: Option<Held>,
) -> Result<BodyBytes, Problem> {
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed_json("The body ended too early."))?;
        if whole.len() + chunk.len() > most {
            return Err(Problem::body_too_large(most));
        }
        if held.as_mut().is_some_and(|held| !held.more(chunk.len())) {
            return Err(Problem::overloaded());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(BodyBytes { bytes: whole.into(), _held: held })
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn announces_body(headers: &HeaderMap) -> bool {
    announced_length(headers).is_some_and(|length| length > 0)
}

fn body_problem(misfit: Misfit) -> Problem {
    let mut pointer = String::new();
    misfit.path.iter().for_each(|segment| json::push_segment(&mut pointer, segment));
    let (code, message) = match misfit.reason {
        Reason::Unknown => ("unknown_field", "no such field here".to_owned()),
        Reason::Missing => ("missing_field", "the field is required".to_owned()),
        Reason::Invalid(message) => ("invalid_field", message),
    };
    Problem::field(FieldError::at(pointer, code, message))
}

/// The query as a `T`, and nothing but a `T`: unknown and repeated parameters are refused.
///
/// # Errors
/// As an extractor: 422 `invalid_parameter`.
#[derive(Debug, Clone)]
pub struct Params<T>(
    /// What was asked for.
    pub T,
);

impl<T: JsonSchema> Takes for Params<T> {
    fn describe(sketch: &mut Sketch<'_>) {
        sketch.query::<T>();
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = query_pairs(parts.uri.query().unwrap_or_default())?;
        decode::from_pairs(pairs).map(Self).map_err(|misfit| {
            let name = misfit.path.first().cloned().unwrap_or_default();
            let message = match misfit.reason {
                Reason::Unknown => "no such parameter here".to_owned(),
                Reason::Missing => "the parameter is required".to_owned(),
                Reason::Invalid(message) => message,
            };
            Problem::invalid_parameter(name, message)
        })
    }
}

/// Splits and decodes a query (`application/x-www-form-urlencoded`).
fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PARAMETERS {
            let message = format!("a query has at most {MAX_PARAMETERS} parameters");
            return Err(Problem::invalid_parameter("", message));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = percent_decoded(name) else {
            return Err(Problem::invalid_parameter(name, "the name is not well encoded"));
        };
        let Some(value) = percent_decoded(value) else {
            return Err(Problem::invalid_parameter(name, "expected UTF-8 text, percent-encoded"));
        };
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Problem::invalid_parameter(name, "give the parameter once"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// `None` when an escape is broken, when the result is not UTF-8, or when it holds NUL.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
