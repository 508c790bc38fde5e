//! The tokens that are sent by mail. They are numbered; whoever sends one computes it from its number,
//! and nothing secret is stored. Of each kind only the newest is accepted, once, for an hour.

use super::{UserEvent, UserRejection};
use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// For how long a token is accepted.
pub const TOKEN_SECONDS: i64 = 60 * 60;

/// How soon after one token another one is sent: whoever asks in between has been sent one already.
/// Without it a stranger who asks again and again could let every token die before it is read.
pub const TOKEN_PAUSE_SECONDS: i64 = 60;

/// A token that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its number.
    pub number: u32,
    /// Until when it is accepted.
    pub until: Timestamp,
}

/// What was sent to a user's e-mail address, and has come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tickets {
    /// The number that was given out last; 0 if none was.
    pub last: u32,
    /// The token that proves the address.
    pub verification: Option<Ticket>,
    /// The token that lets them choose another password.
    pub password_reset: Option<Ticket>,
    /// A token has come back: they read what is sent there.
    pub email_verified: bool,
}

impl Tickets {
    pub(super) fn ask_verification(&self, now: Timestamp) -> Option<UserEvent> {
        if self.email_verified {
            return None;
        }
        let Ticket { number, until } = self.next(self.verification, now)?;
        Some(UserEvent::EmailVerificationAsked { number, until })
    }

    pub(super) fn ask_password_reset(&self, now: Timestamp) -> Option<UserEvent> {
        let Ticket { number, until } = self.next(self.password_reset, now)?;
        Some(UserEvent::PasswordResetAsked { number, until })
    }

    /// The next token, unless the newest one was sent a moment ago.
    fn next(&self, newest: Option<Ticket>, now: Timestamp) -> Option<Ticket> {
        let rests = newest.is_some_and(|newest| {
            now < newest.until.plus_seconds(TOKEN_PAUSE_SECONDS - TOKEN_SECONDS)
        });
        let until = now.plus_seconds(TOKEN_SECONDS);
        (!rests).then_some(Ticket { number: self.last.saturating_add(1), until })
    }

    pub(super) fn check_verification(
        &self,
        number: u32,
        now: Timestamp,
    ) -> Result<(), UserRejection> {
        check(self.verification, number, now)
    }

    /// Whether the token of this number would be accepted at `now`.
    ///
    /// # Errors
    /// [`UserRejection::TokenSpent`].
    pub fn check_password_reset(&self, number: u32, now: Timestamp) -> Result<(), UserRejection> {
        check(self.password_reset, number, now)
    }

    /// What was sent to an address says nothing about another one.
    pub(super) fn forget_address(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    pub(super) fn apply(&mut self, event: &UserEvent) {
        match *event {
            UserEvent::EmailVerificationAsked { number, until } => {
                self.last = number;
                self.verification = Some(Ticket { number, until });
            }
            UserEvent::PasswordResetAsked { number, until } => {
                self.last = number;
                self.password_reset = Some(Ticket { number, until });
            }
            UserEvent::EmailVerified {} => {
                self.email_verified = true;
                self.verification = None;
            }
            _ => {}
        }
    }
}

fn check(newest: Option<Ticket>, number: u32, now: Timestamp) -> Result<(), UserRejection> {
    let fits = newest.is_some_and(|newest| newest.number == number && now < newest.until);
    if fits { Ok(()) } else { Err(UserRejection::TokenSpent) }
}
