//! What every changing route needs: who asks, in which request, under which key.

use super::idempotency::{CommandKey, KeyedRequest};
use super::json::Fingerprint;
use super::problem::Problem;
use crate::guard::Caller;
use crate::telemetry::RequestContext;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use commands::bus::{Context, RequestKey, World};
use uuid::Uuid;

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
    /// The key as the journal takes it, for a request with this body.
    #[must_use]
    pub fn request_key(&self, fingerprint: Fingerprint) -> Option<RequestKey> {
        self.key.map(|key| request_key(key.with(fingerprint)))
    }

    /// The key of one step of a request that takes several.
    #[must_use]
    pub fn step_key(&self, step: &str, fingerprint: Fingerprint) -> Option<RequestKey> {
        self.key.map(|key| request_key(key.step(step).with(fingerprint)))
    }

    /// The id of what this request creates: the same for every retry under one key, fresh without.
    #[must_use]
    pub fn new_id(&self, name: &str, world: World) -> Uuid {
        self.key.map_or_else(world.new_id, |key| key.id(name))
    }
}

impl KeyedCommand {
    /// The key as the journal takes it, for a request with this body.
    #[must_use]
    pub fn request_key(&self, fingerprint: Fingerprint) -> RequestKey {
        request_key(self.key.with(fingerprint))
    }

    /// The id of what this request creates: the same for every retry.
    #[must_use]
    pub fn new_id(&self, name: &str) -> Uuid {
        self.key.id(name)
    }
}

fn request_key(keyed: KeyedRequest) -> RequestKey {
    RequestKey { key: keyed.key, fingerprint: keyed.fingerprint }
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
