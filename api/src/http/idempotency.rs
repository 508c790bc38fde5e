//! `Idempotency-Key`: one request, whatever the network does.

use super::canonical::RequestPath;
use super::json::Fingerprint;
use super::problem::Problem;
use crate::guard::Caller;
use crate::telemetry;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::{Builder, Uuid};

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest key.
const MAX_KEY_CHARS: usize = 255;

/// One client's request under one `Idempotency-Key`: a hash of principal, method, path and key.
///
/// As an extractor it is the ◆ of the contract; as `Option<CommandKey>` it honours a key that a
/// client chose to send. Everything that the request creates takes its ids from here, so that a
/// retry meets what the first attempt made.
///
/// # Errors
/// As an extractor: 400 `idempotency_key_missing`, 400 `idempotency_key_invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandKey([u8; 32]);

/// A [`CommandKey`] with what was sent under it, as the journal records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Names the request.
    pub key: Uuid,
    /// Tells another body apart.
    pub fingerprint: [u8; 32],
}

impl CommandKey {
    /// The key of `key` sent by `principal` with `method` to `path`. Keys of different principals,
    /// methods or paths never meet.
    #[must_use]
    pub fn new(principal: &str, method: &str, path: &str, key: &str) -> Self {
        Self(digest(&[
            b"request",
            principal.as_bytes(),
            method.as_bytes(),
            path.as_bytes(),
            key.as_bytes(),
        ]))
    }

    /// The id under which the journal records the outcome.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        Builder::from_custom_bytes(leading(&self.0)).into_uuid()
    }

    /// The whole request, with its body's fingerprint.
    #[must_use]
    pub fn with(&self, fingerprint: Fingerprint) -> KeyedRequest {
        KeyedRequest { key: self.uuid(), fingerprint: fingerprint.0 }
    }

    /// The key of one step of a request that is a small process (check out, ask the provider,
    /// pay): a replay resumes at the first step that has no outcome.
    #[must_use]
    pub fn step(&self, name: &str) -> Self {
        Self(digest(&[b"step", &self.0, name.as_bytes()]))
    }

    /// The id of what this request creates as its `name`.
    ///
    /// It has the form of a UUIDv7, as every id has, but where one has the time this has a hash:
    /// a retry thirty days later must come to the same id.
    #[must_use]
    pub fn id(&self, name: &str) -> Uuid {
        let mut bytes = leading(&digest(&[b"id", &self.0, name.as_bytes()]));
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Uuid::from_bytes(bytes)
    }
}

fn leading(digest: &[u8; 32]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// Each part goes in with its length, so that no two lists of parts have one digest.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

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

/// The requests of several steps that are running in this process, by key. It holds at most as many
/// keys as requests are being served, and those whose clients have left since.
///
/// It saves a second attempt from running beside the first; what makes the pair safe is the
/// journal, also across processes.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<CommandKey>>>);

/// A running request's entry; dropping it lets the key in again.
#[derive(Debug)]
struct Running {
    key: CommandKey,
    all: InFlight,
}

impl InFlight {
    /// Does the request's work in a task of its own and waits for it. A client who leaves ends the
    /// waiting only: the request goes on, and its key is in flight until it has come to its end.
    ///
    /// # Errors
    /// 409 `request_in_progress` when the key is running already; else what the work answers.
    pub async fn run<T: Send + 'static>(
        &self,
        key: CommandKey,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let running = self.begin(key)?;
        let work = telemetry::spawn(async move {
            let done = work.await;
            drop(running);
            done
        });
        match work.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the process aborts it.
                Err(error) => Err(Problem::unavailable(&error)),
            },
        }
    }

    /// Enters `key` until the returned guard is dropped.
    fn begin(&self, key: CommandKey) -> Result<Running, Problem> {
        if self.lock().insert(key) {
            Ok(Running { key, all: self.clone() })
        } else {
            Err(Problem::request_in_progress())
        }
    }

    /// A panic elsewhere leaves a set of keys intact, so a poisoned lock is as good as any.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<CommandKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
#[path = "idempotency_tests.rs"]
mod tests;
