use super::state::MAX_ROLES;
use super::{Ban, User, UserEvent};
use crate::{
    Facts, Locale, Profile, Reason, Rejection, RejectionKind, RoleName, Sealed, SealedSecret,
    Timestamp,
};

/// What can be asked of a user's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCommand {
    /// Sign up.
    Register {
        /// A small positive number for people and old clients; unique among users.
        number: i32,
        /// Who they are.
        profile: Sealed<Profile>,
        /// The hash of their password.
        password: SealedSecret,
        /// The language we write to them in.
        locale: Locale,
        /// Their first role.
        role: RoleName,
    },
    /// Change name, e-mail or language.
    ChangeProfile {
        /// The new profile, whole.
        profile: Sealed<Profile>,
        /// The language we write to them in.
        locale: Locale,
    },
    /// Choose another password.
    ChangePassword {
        /// The hash of the new one.
        password: SealedSecret,
    },
    /// Give them a role.
    GrantRole {
        /// The role.
        role: RoleName,
    },
    /// Take a role from them.
    RevokeRole {
        /// The role.
        role: RoleName,
    },
    /// Keep them from doing anything.
    Ban {
        /// Why.
        reason: Reason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
    },
    /// Lift the ban.
    Unban,
    /// Forget them.
    Erase,
}

/// Why a user's account refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRejection {
    /// There is no account under this id: never registered, abandoned, or erased.
    #[error("there is no such user")]
    NotFound,
    /// Somebody registered under this id.
    #[error("the user exists already")]
    AlreadyExists,
    /// The registration was given up; another id is needed.
    #[error("this registration was given up; start again")]
    RegistrationAbandoned,
    /// We give this role out ourselves.
    #[error("the role {role} cannot be granted")]
    RoleReserved {
        /// The role.
        role: RoleName,
    },
    /// They have as many roles as anybody can have.
    #[error("a user has at most {MAX_ROLES} roles")]
    TooManyRoles,
}

impl Rejection for UserRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "user_exists",
            Self::RegistrationAbandoned => "registration_abandoned",
            Self::RoleReserved { .. } => "role_reserved",
            Self::TooManyRoles => "too_many_roles",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists | Self::RegistrationAbandoned => RejectionKind::Conflict,
            Self::RoleReserved { .. } | Self::TooManyRoles => RejectionKind::Invalid,
        }
    }
}

impl User {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`UserRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: UserCommand,
        _facts: &Facts,
    ) -> Result<Vec<UserEvent>, UserRejection> {
        let makes_account = matches!(command, UserCommand::Register { .. });
        match (self.erased, self.exists(), makes_account) {
            (true, _, _) if command == UserCommand::Erase => return Ok(vec![]),
            (true, _, _) | (false, false, false) => return Err(UserRejection::NotFound),
            (false, true, true) => return Err(UserRejection::AlreadyExists),
            (false, true, false) | (false, false, true) => {}
        }
        match command {
            UserCommand::Register { number, profile, password, locale, role } => {
                if self.abandoned {
                    return Err(UserRejection::RegistrationAbandoned);
                }
                check_grantable(&role)?;
                let registered = UserEvent::UserRegistered { number, profile, password, locale };
                Ok(vec![registered, UserEvent::RoleGranted { role }])
            }
            UserCommand::ChangeProfile { profile, locale } => {
                let same = self.profile.as_ref() == Some(&profile)
                    && self.locale.as_ref() == Some(&locale);
                Ok(unless(same, UserEvent::ProfileChanged { profile, locale }))
            }
            UserCommand::ChangePassword { password } => {
                let same = self.password.as_ref() == Some(&password);
                Ok(unless(same, UserEvent::PasswordChanged { password }))
            }
            UserCommand::GrantRole { role } => {
                check_grantable(&role)?;
                let has_it = self.roles.contains(&role);
                if !has_it && self.roles.len() >= MAX_ROLES {
                    return Err(UserRejection::TooManyRoles);
                }
                Ok(unless(has_it, UserEvent::RoleGranted { role }))
            }
            UserCommand::RevokeRole { role } => {
                Ok(unless(!self.roles.contains(&role), UserEvent::RoleRevoked { role }))
            }
            UserCommand::Ban { reason, until } => {
                let ban = Ban { reason, until };
                let same = self.ban.as_ref() == Some(&ban);
                Ok(unless(same, UserEvent::UserBanned { reason: ban.reason, until: ban.until }))
            }
            UserCommand::Unban => Ok(unless(self.ban.is_none(), UserEvent::UserUnbanned {})),
            UserCommand::Erase => Ok(vec![UserEvent::UserErased {}]),
        }
    }
}

fn unless(already_so: bool, event: UserEvent) -> Vec<UserEvent> {
    if already_so { vec![] } else { vec![event] }
}

fn check_grantable(role: &RoleName) -> Result<(), UserRejection> {
    if role.is_reserved() {
        return Err(UserRejection::RoleReserved { role: role.clone() });
    }
    Ok(())
}
