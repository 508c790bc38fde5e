use super::api_keys::ApiKeyCommand;
use super::second_factor::SecondFactorCommand;
use super::state::MAX_ROLES;
use super::{Ban, BanReason, MAX_API_KEYS, SessionsEnd, User, UserEvent};
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
        /// Whether they are sent a token that proves their e-mail address.
        verify_email: bool,
    },
    /// Change name, e-mail or language.
    ChangeProfile {
        /// The new profile, whole.
        profile: Sealed<Profile>,
        /// The language we write to them in.
        locale: Locale,
    },
    /// Choose another password. All sessions end.
    ChangePassword {
        /// The hash of the new one.
        password: SealedSecret,
        /// The one that whoever asks proved to know; absent where nobody had to.
        current: Option<SealedSecret>,
    },
    /// Ask for a token that lets them choose another password.
    AskPasswordReset,
    /// Choose another password with such a token. All sessions end.
    ResetPassword {
        /// The number of the token, which our key vouches for.
        number: u32,
        /// The hash of the new password.
        password: SealedSecret,
    },
    /// Ask for a token that proves the e-mail address.
    AskEmailVerification,
    /// Prove the e-mail address with such a token.
    VerifyEmail {
        /// The number of the token, which our key vouches for.
        number: u32,
    },
    /// End all sessions.
    EndSessions,
    /// What is about the second factor.
    SecondFactor(SecondFactorCommand),
    /// What is about keys for programs.
    ApiKey(ApiKeyCommand),
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
        /// Why. That of the ban of before, to change nothing or its time alone.
        reason: Sealed<Reason>,
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
    /// The token is not the newest, was used, or is too old.
    #[error("this token is not accepted any more; ask for a new one")]
    TokenSpent,
    /// The password is not the one any more that was proved.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// There is no second factor to be asked for.
    #[error("there is no second factor")]
    NoSecondFactor,
    /// The code was used before, or is older than one that was.
    #[error("this code was used before; wait for the next one")]
    CodeSpent,
    /// They have as many keys as anybody can have.
    #[error("a user has at most {MAX_API_KEYS} API keys")]
    TooManyApiKeys,
    /// There is no such key, or it is not accepted any more.
    #[error("there is no such API key")]
    NoSuchApiKey,
    /// A key acts with no more than its owner has.
    #[error("you do not have the role {role}")]
    ScopeNotHeld {
        /// The role.
        role: RoleName,
    },
}

impl Rejection for UserRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "user_exists",
            Self::RegistrationAbandoned => "registration_abandoned",
            Self::RoleReserved { .. } => "role_reserved",
            Self::TooManyRoles => "too_many_roles",
            Self::TokenSpent => "invalid_token",
            Self::PasswordChanged => "password_changed",
            Self::NoSecondFactor => "no_second_factor",
            Self::CodeSpent => "bad_code",
            Self::TooManyApiKeys => "too_many_api_keys",
            Self::NoSuchApiKey => "not_found",
            Self::ScopeNotHeld { .. } => "scope_not_held",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound | Self::NoSuchApiKey => RejectionKind::Absent,
            Self::AlreadyExists
            | Self::RegistrationAbandoned
            | Self::PasswordChanged
            | Self::NoSecondFactor => RejectionKind::Conflict,
            Self::RoleReserved { .. }
            | Self::TooManyRoles
            | Self::TokenSpent
            | Self::CodeSpent
            | Self::TooManyApiKeys
            | Self::ScopeNotHeld { .. } => RejectionKind::Invalid,
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
        facts: &Facts,
    ) -> Result<Vec<UserEvent>, UserRejection> {
        let makes_account = matches!(command, UserCommand::Register { .. });
        match (self.erased, self.exists(), makes_account) {
            (true, _, _) if command == UserCommand::Erase => return Ok(vec![]),
            (true, _, _) | (false, false, false) => return Err(UserRejection::NotFound),
            (false, true, true) => return Err(UserRejection::AlreadyExists),
            (false, true, false) | (false, false, true) => {}
        }
        match command {
            UserCommand::Register { number, profile, password, locale, role, verify_email } => {
                if self.abandoned {
                    return Err(UserRejection::RegistrationAbandoned);
                }
                check_grantable(&role)?;
                let registered = UserEvent::UserRegistered { number, profile, password, locale };
                let asked = verify_email.then(|| self.tickets.ask_verification(facts.now));
                let granted = [registered, UserEvent::RoleGranted { role }];
                Ok(granted.into_iter().chain(asked.flatten()).collect())
            }
            UserCommand::ChangeProfile { profile, locale } => {
                let same = self.profile.as_ref() == Some(&profile)
                    && self.locale.as_ref() == Some(&locale);
                Ok(unless(same, UserEvent::ProfileChanged { profile, locale }))
            }
            UserCommand::ChangePassword { password, current } => {
                if current.is_some() && current != self.password {
                    return Err(UserRejection::PasswordChanged);
                }
                let same = self.password.as_ref() == Some(&password);
                let changed = unless(same, UserEvent::PasswordChanged { password });
                Ok(and_sessions_end(changed, SessionsEnd::PasswordChanged))
            }
            UserCommand::AskPasswordReset => {
                Ok(self.tickets.ask_password_reset(facts.now).into_iter().collect())
            }
            UserCommand::ResetPassword { number, password } => {
                self.tickets.check_password_reset(number, facts.now)?;
                // Who was sent the token reads that address' mail.
                let verified = unless(self.tickets.email_verified, UserEvent::EmailVerified {});
                let changed = [vec![UserEvent::PasswordChanged { password }], verified].concat();
                Ok(and_sessions_end(changed, SessionsEnd::PasswordChanged))
            }
            UserCommand::AskEmailVerification => {
                Ok(self.tickets.ask_verification(facts.now).into_iter().collect())
            }
            UserCommand::VerifyEmail { number } => {
                self.tickets.check_verification(number, facts.now)?;
                Ok(vec![UserEvent::EmailVerified {}])
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
                let is_staff = role.as_str() != CUSTOMER;
                let revoked = unless(!self.roles.contains(&role), UserEvent::RoleRevoked { role });
                Ok(if is_staff {
                    and_sessions_end(revoked, SessionsEnd::RoleRevoked)
                } else {
                    revoked
                })
            }
            UserCommand::Ban { reason, until } => {
                let ban = Ban { reason: BanReason::Sealed(reason), until };
                let same = self.ban.as_ref() == Some(&ban);
                let event = UserEvent::UserBanned { reason: ban.reason, until: ban.until };
                Ok(and_sessions_end(unless(same, event), SessionsEnd::Banned))
            }
            UserCommand::Unban => Ok(unless(self.ban.is_none(), UserEvent::UserUnbanned {})),
            UserCommand::EndSessions => {
                Ok(vec![UserEvent::SessionsEnded { reason: SessionsEnd::Staff }])
            }
            UserCommand::SecondFactor(command) => self.second_factor.decide(command),
            UserCommand::ApiKey(command) => self.decide_api_key(command, facts.now),
            UserCommand::Erase => Ok(vec![UserEvent::UserErased {}]),
        }
    }
}

/// The role of everybody who buys: whoever loses it has lost nothing of the staff's.
const CUSTOMER: &str = "customer";

fn unless(already_so: bool, event: UserEvent) -> Vec<UserEvent> {
    if already_so { vec![] } else { vec![event] }
}

/// If anything happened, the sessions end with it.
fn and_sessions_end(mut events: Vec<UserEvent>, reason: SessionsEnd) -> Vec<UserEvent> {
    if !events.is_empty() {
        events.push(UserEvent::SessionsEnded { reason });
    }
    events
}

fn check_grantable(role: &RoleName) -> Result<(), UserRejection> {
    if role.is_reserved() {
        return Err(UserRejection::RoleReserved { role: role.clone() });
    }
    Ok(())
}
