use crate::tag::EMAIL;
use crate::{Locale, Profile, Reason, RoleName, Sealed, SealedSecret, Timestamp, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        /// Why.
        reason: Reason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
    },
    /// The ban is lifted.
    UserUnbanned {},
    /// They asked to be forgotten; their key is deleted. Final.
    UserErased {},
}

event_types!(UserEvent {
    UserRegistered: 1 tagged EMAIL,
    UserRegistrationAbandoned: 1,
    ProfileChanged: 1,
    PasswordChanged: 1,
    RoleGranted: 1,
    RoleRevoked: 1,
    UserBanned: 1,
    UserUnbanned: 1,
    UserErased: 1,
});
