//! `Idempotency-Key`: one request, whatever the network does.

use super::canonical::RequestPath;
use super::problem::Problem;
use crate::application::CommandKey;
use crate::guard::Caller;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest key.
const MAX_KEY_CHARS: usize = 255;

/// The ◆ of the contract; `Option<CommandKey>` honours a key that a client chose to send.
///
/// # Errors
/// 400 `idempotency_key_missing`, 400 `idempotency_key_invalid`.
impl<S: Send + Sync> FromRequestParts<S> for CommandKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        command_key(parts)?.ok_or_else(Problem::idempotency_key_missing)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CommandKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        command_key(parts)
    }
}

fn command_key(parts: &Parts) -> Result<Option<CommandKey>, Problem> {
    let Some(key) = header(&parts.headers)? else { return Ok(None) };
    let principal = Caller::of(&parts.extensions)?.actor();
    let path = RequestPath::of(&parts.extensions)?;
    Ok(Some(CommandKey::new(&principal, parts.method.as_str(), path.as_str(), key)))
}

fn header(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    // `to_str` lets spaces and tabs through; a key is visible ASCII only.
    let key = value.to_str().ok().filter(|key| {
        (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (key, more) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::idempotency_key_invalid()),
    }
}

#[cfg(test)]
#[path = "idempotency_tests.rs"]
mod tests;
