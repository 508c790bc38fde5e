//! Who asks for a use case, and under which key.

use commands::bus::{Context, Plan, RequestKey, World};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// One client's request under one idempotency key: a hash of principal, operation and key.
///
/// Everything that the request creates takes its ids from here, so that a retry meets what the first
/// attempt made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandKey([u8; 32]);

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

/// A request for a use case: who asks, what it belongs to, and its key if it has one.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks, and what it belongs to.
    pub context: Context,
    /// The key, if it was sent with one.
    pub key: Option<CommandKey>,
    /// What was asked under the key: another body has another one.
    pub fingerprint: [u8; 32],
}

impl Call {
    /// The same of somebody who is not signed in, named by what they come with: two people who come to the same
    /// key do not meet under it.
    #[must_use]
    pub fn of(self, who: &str) -> Self {
        Self { key: self.key.map(|key| key.step(who)), ..self }
    }

    /// An empty plan of this call.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(&self.context)
    }

    /// The plan under this call's key.
    #[must_use]
    pub fn keyed(&self, plan: Plan) -> Plan {
        plan.keyed(self.request_key())
    }

    /// The key as the journal takes it.
    #[must_use]
    pub fn request_key(&self) -> Option<RequestKey> {
        self.key.map(|key| self.with(key))
    }

    /// The key of one step of a request that takes several.
    #[must_use]
    pub fn step_key(&self, step: &str) -> Option<RequestKey> {
        self.key.map(|key| self.with(key.step(step)))
    }

    /// The id of what this request creates: the same for every retry under one key, fresh without.
    #[must_use]
    pub fn new_id<Id: From<Uuid>>(&self, name: &str, world: World) -> Id {
        self.key.map_or_else(world.new_id, |key| key.id(name)).into()
    }

    fn with(&self, key: CommandKey) -> RequestKey {
        RequestKey { key: key.uuid(), fingerprint: self.fingerprint }
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

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
