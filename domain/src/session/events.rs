use crate::{Timestamp, UserId, event_types};
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
    /// The user ended it from elsewhere, or changed the password.
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

event_types!(SessionEvent { SessionStarted: 1, SessionRefreshed: 1, SessionRevoked: 1 });
