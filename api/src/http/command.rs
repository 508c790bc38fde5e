//! What every changing route needs: who asks, in which request, under which key.

use super::json::Fingerprint;
use super::position::{Position, Replayed};
use super::problem::Problem;
use crate::application::{Call, CommandKey};
use crate::guard::Caller;
use crate::openapi::takes::{Sketch, Takes};
use crate::telemetry::RequestContext;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use commands::bus::{Context, Executed};
use serde_json::json;

/// The context of a changing request, for its events' metadata, and its key if it has one.
///
/// As `Command` a key is honoured when it is sent; routes that require one (◆) take
/// [`KeyedCommand`].
///
/// # Errors
/// As an extractor: 400 `idempotency_key_invalid`.
pub struct Command {
    /// Who asks, and what it belongs to.
    pub context: Context,
    key: Option<CommandKey>,
}

/// A [`Command`] whose key is required.
///
/// # Errors
/// As an extractor: 400 `idempotency_key_missing`, 400 `idempotency_key_invalid`.
pub struct KeyedCommand {
    /// Who asks, and what it belongs to.
    pub context: Context,
    /// The key.
    pub key: CommandKey,
}

impl Command {
    /// What this asks of the application with this body.
    #[must_use]
    pub fn call(self, fingerprint: Fingerprint) -> Call {
        Call { context: self.context, key: self.key, fingerprint: fingerprint.0 }
    }
}

impl KeyedCommand {
    /// What this asks of the application with this body.
    #[must_use]
    pub fn call(self, fingerprint: Fingerprint) -> Call {
        Call { context: self.context, key: Some(self.key), fingerprint: fingerprint.0 }
    }
}

/// The header's name, as the contract writes it.
const KEY: &str = "Idempotency-Key";

fn describe_key(sketch: &mut Sketch<'_>, required: bool) {
    let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$",
        "examples": ["4b8e3f52-7a3c-4c0e-9d44-0d6c4b7a2f11"]});
    sketch.header(
        KEY,
        required,
        "The same for every retry of one request; kept for 30 days.",
        schema,
    );
    // Beside the key itself: it was used otherwise, is in use, or the journal does not take the change.
    [400, 409, 422, 503].into_iter().for_each(|status| sketch.answers(status));
    ["Gomall-Position", "Idempotent-Replayed"].into_iter().for_each(|name| sketch.gives(name));
}

/// 204 for a change that has nothing to show.
pub fn done(executed: &Executed) -> Response {
    let parts = (Position(executed.position), Replayed(executed.replayed));
    (StatusCode::NO_CONTENT, parts, ()).into_response()
}

impl Takes for Command {
    fn describe(sketch: &mut Sketch<'_>) {
        describe_key(sketch, false);
    }
}

impl Takes for KeyedCommand {
    fn describe(sketch: &mut Sketch<'_>) {
        describe_key(sketch, true);
    }
}

fn context(parts: &Parts) -> Result<Context, Problem> {
    let caller = Caller::of(&parts.extensions)?;
    let request = RequestContext::of(&parts.extensions)?;
    Ok(Context {
        actor: caller.actor(),
        correlation_id: request.request_id,
        causation_id: None,
        traceparent: Some(request.trace.to_string()),
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Command {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let key =
            <CommandKey as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self { context: context(parts)?, key })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyedCommand {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let key = <CommandKey as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(Self { context: context(parts)?, key })
    }
}
