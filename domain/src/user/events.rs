use super::BanReason;
use crate::tag::EMAIL;
use crate::{
    ApiKeyHash, ApiKeyId, Locale, Name, Profile, Reason, RoleName, Sealed, SealedSecret,
    SecondFactorSecret, Timestamp, event_types,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Why all sessions of a user ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionsEnd {
    /// The password is another one.
    PasswordChanged,
    /// The user may not do anything.
    Banned,
    /// The user lost a role of the staff.
    RoleRevoked,
    /// Staff ended them.
    Staff,
}

/// Facts about a person with an account. The stream's id is the user's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UserEvent {
    /// They signed up.
    UserRegistered {
        /// A small positive number for people and old clients; unique among users.
        number: i32,
        /// Who they are, sealed with their key.
        profile: Sealed<Profile>,
        /// The hash of their password, sealed with their key.
        password: SealedSecret,
        /// The language we write to them in.
        locale: Locale,
    },
    /// The account under this id will never be: whoever asked for it did not finish in time, and
    /// the e-mail address was given to somebody else. Not written any more.
    UserRegistrationAbandoned {},
    /// Name, e-mail or language changed.
    ProfileChanged {
        /// The new profile, whole.
        profile: Sealed<Profile>,
        /// The language we write to them in.
        locale: Locale,
    },
    /// They chose another password.
    PasswordChanged {
        /// The hash of the new one.
        password: SealedSecret,
    },
    /// They have this role from now on.
    RoleGranted {
        /// The role.
        role: RoleName,
    },
    /// They no longer have this role.
    RoleRevoked {
        /// The role.
        role: RoleName,
    },
    /// They may not do anything.
    UserBanned {
        /// Why, sealed with their key.
        #[schemars(with = "Sealed<Reason>")]
        reason: BanReason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
    },
    /// The ban is lifted.
    UserUnbanned {},
    /// No session that began before is accepted any more, and no key of a program that was given out before.
    SessionsEnded {
        /// Why.
        reason: SessionsEnd,
    },
    /// They are sent a token that proves that their e-mail address is theirs. Tokens of before are
    /// not accepted any more.
    EmailVerificationAsked {
        /// The number of the token; the token itself is computed by whoever sends it.
        number: u32,
        /// Until when it is accepted.
        until: Timestamp,
    },
    /// The e-mail address is theirs.
    EmailVerified {},
    /// They are sent a token that lets them choose another password. Tokens of before are not
    /// accepted any more.
    PasswordResetAsked {
        /// The number of the token; the token itself is computed by whoever sends it.
        number: u32,
        /// Until when it is accepted.
        until: Timestamp,
    },
    /// They were given the secret of a second factor, which counts when they have confirmed it.
    SecondFactorOffered {
        /// The secret and the recovery codes, sealed with their key.
        secret: Sealed<SecondFactorSecret>,
    },
    /// They have the second factor that was offered: from now on it is asked for at sign-in.
    SecondFactorConfirmed {
        /// The time step of the code that they proved it with; neither it nor an earlier one is
        /// accepted again.
        step: u32,
    },
    /// They proved themselves with a code of their second factor.
    SecondFactorUsed {
        /// The time step of the code; neither it nor an earlier one is accepted again.
        step: u32,
    },
    /// They proved themselves with a recovery code, which is not accepted again.
    RecoveryCodeUsed {
        /// Which of their recovery codes, from 0.
        index: u32,
    },
    /// No second factor is asked for any more.
    SecondFactorRemoved {},
    /// A program may act for them.
    ApiKeyIssued {
        /// The key's id.
        key_id: ApiKeyId,
        /// What they call it, sealed with their key.
        name: Sealed<Name>,
        /// The roles that it acts with, as far as they have them.
        scopes: BTreeSet<RoleName>,
        /// Until when it is accepted.
        expires_at: Timestamp,
        /// Whether its owner had proved themselves with a second factor.
        #[serde(default)]
        second_factor: bool,
        /// The hash of its secret.
        hash: ApiKeyHash,
    },
    /// A key has another secret.
    ApiKeyRotated {
        /// The key's id.
        key_id: ApiKeyId,
        /// The hash of the new secret.
        hash: ApiKeyHash,
        /// Until when the secret of before is accepted beside it.
        previous_until: Timestamp,
    },
    /// A key is not accepted any more.
    ApiKeyRevoked {
        /// The key's id.
        key_id: ApiKeyId,
    },
    /// They asked to be forgotten; their key is deleted. Final.
    UserErased {},
}

/// `UserBanned` as it was written until its reason was sealed.
#[derive(Deserialize, JsonSchema)]
struct UserBannedV1 {
    /// Why, in the clear.
    reason: Reason,
    /// Until when; for ever if absent.
    until: Option<Timestamp>,
}

impl From<UserBannedV1> for UserEvent {
    fn from(old: UserBannedV1) -> Self {
        Self::UserBanned { reason: BanReason::Clear(old.reason), until: old.until }
    }
}

event_types!(UserEvent {
    UserRegistered: 1 tagged EMAIL,
    UserRegistrationAbandoned: 1,
    ProfileChanged: 1,
    PasswordChanged: 1,
    RoleGranted: 1,
    RoleRevoked: 1,
    UserBanned: 2 <- { 1: UserBannedV1 },
    UserUnbanned: 1,
    SessionsEnded: 1,
    EmailVerificationAsked: 1,
    EmailVerified: 1,
    PasswordResetAsked: 1,
    SecondFactorOffered: 1,
    SecondFactorConfirmed: 1,
    SecondFactorUsed: 1,
    RecoveryCodeUsed: 1,
    SecondFactorRemoved: 1,
    ApiKeyIssued: 1,
    ApiKeyRotated: 1,
    ApiKeyRevoked: 1,
    UserErased: 1,
});
