use super::api_keys::ApiKey;
use super::second_factor::SecondFactor;
use super::ticket::Tickets;
use super::{UserCommand, UserEvent, UserRejection};
use crate::{
    ApiKeyId, Facts, Identified, Locale, Profile, Reason, RoleName, Sealed, SealedSecret,
    Timestamp, UserId,
};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most roles that one user has.
pub const MAX_ROLES: usize = 50;

/// A user's state. `Default` is a user who did not register yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// A small positive number for people and old clients; absent before registration.
    pub number: Option<i32>,
    /// Who they are; absent before registration and after erasure.
    pub profile: Option<Sealed<Profile>>,
    /// The hash of their password; absent before registration and after erasure.
    pub password: Option<SealedSecret>,
    /// The language we write to them in; absent before registration and after erasure.
    pub locale: Option<Locale>,
    /// The roles they were granted.
    pub roles: BTreeSet<RoleName>,
    /// The ban that was last spoken and not lifted; its time may be over.
    pub ban: Option<Ban>,
    /// How often all their sessions have ended: only a session that began since then is accepted.
    #[serde(default)]
    pub session_epoch: u32,
    /// The tokens that they are sent by mail, and whether one of them has come back.
    #[serde(default)]
    pub tickets: Tickets,
    /// What they prove themselves with beside the password, if they do.
    #[serde(default)]
    pub second_factor: SecondFactor,
    /// The keys that programs act for them with, at most [`super::MAX_API_KEYS`].
    #[serde(default)]
    pub api_keys: BTreeMap<ApiKeyId, ApiKey>,
    /// They were forgotten.
    pub erased: bool,
    /// Nobody will ever register under this id.
    pub abandoned: bool,
}

/// Why somebody may not do anything, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Why.
    pub reason: BanReason,
    /// Until when; for ever if absent.
    pub until: Option<Timestamp>,
}

/// Why somebody may not do anything: words about them, for staff and for as long as there is their key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BanReason {
    /// Sealed with the key of whom they speak of.
    Sealed(Sealed<Reason>),
    /// In the clear, as the first version of the event has it. No command leads to one.
    Clear(Reason),
}

impl fmt::Debug for BanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BanReason(…)")
    }
}

impl User {
    /// Whether there is an account: registered and not erased.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.number.is_some() && !self.erased
    }

    /// Whether a ban is in force at `now`.
    #[must_use]
    pub fn is_banned(&self, now: Timestamp) -> bool {
        self.ban.as_ref().is_some_and(|ban| ban.until.is_none_or(|until| now < until))
    }
}

impl Identified for User {
    type Id = UserId;
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: UserCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), UserRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: UserEvent) {
        match event {
            UserEvent::UserRegistered { number, profile, password, locale } => {
                self.number = Some(number);
                self.profile = Some(profile);
                self.password = Some(password);
                self.locale = Some(locale);
            }
            UserEvent::UserRegistrationAbandoned {} => self.abandoned = true,
            UserEvent::ProfileChanged { profile, locale } => {
                self.profile = Some(profile);
                self.locale = Some(locale);
                self.tickets.forget_address();
            }
            UserEvent::PasswordChanged { password } => {
                self.password = Some(password);
                self.tickets.password_reset = None;
            }
            UserEvent::RoleGranted { role } => {
                self.roles.insert(role);
            }
            UserEvent::RoleRevoked { role } => {
                self.roles.remove(&role);
            }
            UserEvent::UserBanned { reason, until } => self.ban = Some(Ban { reason, until }),
            UserEvent::UserUnbanned {} => self.ban = None,
            UserEvent::SessionsEnded { reason: _ } => {
                self.session_epoch += 1;
                self.api_keys.clear();
            }
            UserEvent::EmailVerificationAsked { .. }
            | UserEvent::EmailVerified {}
            | UserEvent::PasswordResetAsked { .. } => self.tickets.apply(&event),
            UserEvent::SecondFactorOffered { .. }
            | UserEvent::SecondFactorConfirmed { .. }
            | UserEvent::SecondFactorUsed { .. }
            | UserEvent::RecoveryCodeUsed { .. }
            | UserEvent::SecondFactorRemoved {} => self.second_factor.apply(event),
            UserEvent::ApiKeyIssued { .. }
            | UserEvent::ApiKeyRotated { .. }
            | UserEvent::ApiKeyRevoked { .. } => super::api_keys::apply(&mut self.api_keys, event),
            UserEvent::UserErased {} => {
                *self = Self { number: self.number, erased: true, ..Self::default() };
            }
        }
    }
}
