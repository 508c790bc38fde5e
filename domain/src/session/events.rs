use crate::{Device, Sealed, Timestamp, UserId, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// The user signed out.
    SignedOut,
    /// A spent refresh token came back: somebody else has a copy of it.
    RefreshReused,
    /// The user ended it from elsewhere.
    Revoked,
}

/// Facts about one sign-in and the refresh tokens that follow from it. The stream's id is the
/// session's id. Tokens are numbered and authenticated by our key; no secret is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionEvent {
    /// Somebody signed in; refresh token number 1 was given out.
    SessionStarted {
        /// Who.
        user_id: UserId,
        /// When the session ends if it is not refreshed.
        expires_at: Timestamp,
        /// When it ends however often it is refreshed; absent in what was written before there was
        /// such an end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
        /// How often all sessions of the user had ended before.
        #[serde(default)]
        epoch: u32,
        /// When they signed in; absent in what was written before anybody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proved_at: Option<Timestamp>,
        /// Whether they did with a second factor.
        #[serde(default)]
        second_factor: bool,
        /// What they signed in with, sealed with their key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<Sealed<Device>>,
    },
    /// Whoever holds the session proved again who they are.
    SessionProved {
        /// When.
        proved_at: Timestamp,
        /// Whether they did with a second factor.
        second_factor: bool,
    },
    /// The session goes on where all others of its user ended.
    SessionKept {
        /// How often all sessions of the user have ended by now.
        epoch: u32,
    },
    /// A refresh token was exchanged for the next one.
    SessionRefreshed {
        /// The number of the token that was presented; it is spent from now on.
        presented: u32,
        /// The number of the token that was given out.
        generation: u32,
        /// When the exchange happened; the spent token is tolerated for a moment after it.
        refreshed_at: Timestamp,
        /// When the session ends if it is not refreshed.
        expires_at: Timestamp,
    },
    /// No token of this session is accepted any more.
    SessionRevoked {
        /// Why.
        reason: SessionEnd,
    },
}

event_types!(SessionEvent {
    SessionStarted: 1,
    SessionProved: 1,
    SessionKept: 1,
    SessionRefreshed: 1,
    SessionRevoked: 1,
});
