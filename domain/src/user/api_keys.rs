//! Keys that programs act for a user with: services, analysts' tools.
//!
//! A key acts with the roles among its scopes that its owner has at that moment, so it loses with them
//! what they lose. Of its secret only a hash is kept.

use super::{User, UserEvent, UserRejection};
use crate::{ApiKeyHash, ApiKeyId, Name, RoleName, Sealed, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most keys that one user has, expired ones that nobody took away included.
pub const MAX_API_KEYS: usize = 20;

/// For how long the secret of before is accepted after a rotation: a day to bring the new one everywhere.
pub const ROTATION_SECONDS: i64 = 24 * 60 * 60;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What its owner calls it.
    pub name: Sealed<Name>,
    /// The roles that it acts with, as far as its owner has them.
    pub scopes: BTreeSet<RoleName>,
    /// Until when it is accepted.
    pub expires_at: Timestamp,
    /// Whether its owner had proved themselves with a second factor: only then roles that want one count.
    #[serde(default)]
    pub second_factor: bool,
    /// The hash of its secret.
    pub hash: ApiKeyHash,
    /// The hash of its secret before the last rotation, and until when that is accepted.
    pub previous: Option<(ApiKeyHash, Timestamp)>,
}

impl ApiKey {
    /// Whether the secret of this hash is accepted at `now`.
    #[must_use]
    pub fn accepts(&self, hash: &ApiKeyHash, now: Timestamp) -> bool {
        let previous =
            self.previous.as_ref().is_some_and(|(old, until)| old == hash && now < *until);
        now < self.expires_at && (self.hash == *hash || previous)
    }
}

/// What can be asked about keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyCommand {
    /// Give a key out.
    Issue {
        /// Its id.
        key_id: ApiKeyId,
        /// What its owner calls it.
        name: Sealed<Name>,
        /// The roles that it acts with; its owner has them.
        scopes: BTreeSet<RoleName>,
        /// Until when it is accepted.
        expires_at: Timestamp,
        /// Whether its owner has proved themselves with a second factor.
        second_factor: bool,
        /// The hash of its secret.
        hash: ApiKeyHash,
    },
    /// Give a key another secret; the one of before is accepted for [`ROTATION_SECONDS`] more.
    Rotate {
        /// Its id.
        key_id: ApiKeyId,
        /// The hash of the new secret.
        hash: ApiKeyHash,
    },
    /// Take a key away.
    Revoke {
        /// Its id.
        key_id: ApiKeyId,
    },
}

impl User {
    pub(super) fn decide_api_key(
        &self,
        command: ApiKeyCommand,
        now: Timestamp,
    ) -> Result<Vec<UserEvent>, UserRejection> {
        let event = match command {
            ApiKeyCommand::Issue { key_id, name, scopes, expires_at, second_factor, hash } => {
                if self.api_keys.len() >= MAX_API_KEYS {
                    return Err(UserRejection::TooManyApiKeys);
                }
                if let Some(role) = scopes.difference(&self.roles).next() {
                    return Err(UserRejection::ScopeNotHeld { role: role.clone() });
                }
                UserEvent::ApiKeyIssued { key_id, name, scopes, expires_at, second_factor, hash }
            }
            ApiKeyCommand::Rotate { key_id, hash } => {
                let key = self.api_keys.get(&key_id).filter(|key| now < key.expires_at);
                let key = key.ok_or(UserRejection::NoSuchApiKey)?;
                let previous_until = key.expires_at.min(now.plus_seconds(ROTATION_SECONDS));
                UserEvent::ApiKeyRotated { key_id, hash, previous_until }
            }
            ApiKeyCommand::Revoke { key_id } => {
                self.api_keys.get(&key_id).ok_or(UserRejection::NoSuchApiKey)?;
                UserEvent::ApiKeyRevoked { key_id }
            }
        };
        Ok(vec![event])
    }
}

pub(super) fn apply(keys: &mut BTreeMap<ApiKeyId, ApiKey>, event: UserEvent) {
    match event {
        UserEvent::ApiKeyIssued { key_id, name, scopes, expires_at, second_factor, hash } => {
            let previous = None;
            keys.insert(key_id, ApiKey { name, scopes, expires_at, second_factor, hash, previous });
        }
        UserEvent::ApiKeyRotated { key_id, hash, previous_until } => {
            if let Some(key) = keys.get_mut(&key_id) {
                let previous = std::mem::replace(&mut key.hash, hash);
                key.previous = Some((previous, previous_until));
            }
        }
        UserEvent::ApiKeyRevoked { key_id } => {
            keys.remove(&key_id);
        }
        _ => {}
    }
}
