//! What a user proves themselves with beside the password: codes that change with the time (RFC 6238),
//! and recovery codes for who has lost what makes them.
//!
//! Whether a code is right is found out by whoever can open the secret; what is decided here is that each
//! counts once.

use super::{UserEvent, UserRejection};
use crate::{Sealed, SecondFactorSecret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How many recovery codes come with a second factor.
pub const RECOVERY_CODES: usize = 10;

/// A user's second factor. `Default` is a user who has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The one that is asked for.
    pub confirmed: Option<Sealed<SecondFactorSecret>>,
    /// One that was given out and is not asked for yet.
    pub offered: Option<Sealed<SecondFactorSecret>>,
    /// The newest time step of which a code was accepted.
    pub last_step: u32,
    /// The recovery codes that were used.
    pub used_recovery_codes: BTreeSet<u32>,
}

/// What can be asked of a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondFactorCommand {
    /// Give out a new one, which counts when it is confirmed.
    Offer {
        /// The secret and the recovery codes.
        secret: Sealed<SecondFactorSecret>,
    },
    /// Take the one that was given out in use.
    Confirm {
        /// The time step of the right code that was presented.
        step: u32,
    },
    /// Take a right code.
    Use {
        /// Its time step.
        step: u32,
    },
    /// Take a right recovery code.
    UseRecoveryCode {
        /// Which, from 0.
        index: u32,
    },
    /// Ask for none any more.
    Remove,
}

impl SecondFactor {
    /// Whether a code is asked for.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.confirmed.is_some()
    }

    pub(super) fn decide(
        &self,
        command: SecondFactorCommand,
    ) -> Result<Vec<UserEvent>, UserRejection> {
        let event = match command {
            SecondFactorCommand::Offer { secret } => UserEvent::SecondFactorOffered { secret },
            SecondFactorCommand::Confirm { step } => {
                self.offered.as_ref().ok_or(UserRejection::NoSecondFactor)?;
                UserEvent::SecondFactorConfirmed { step }
            }
            SecondFactorCommand::Use { step } => {
                self.confirmed.as_ref().ok_or(UserRejection::NoSecondFactor)?;
                if step <= self.last_step {
                    return Err(UserRejection::CodeSpent);
                }
                UserEvent::SecondFactorUsed { step }
            }
            SecondFactorCommand::UseRecoveryCode { index } => {
                self.confirmed.as_ref().ok_or(UserRejection::NoSecondFactor)?;
                if self.used_recovery_codes.contains(&index) {
                    return Err(UserRejection::CodeSpent);
                }
                UserEvent::RecoveryCodeUsed { index }
            }
            SecondFactorCommand::Remove => {
                let none = self.confirmed.is_none() && self.offered.is_none();
                return Ok(if none { vec![] } else { vec![UserEvent::SecondFactorRemoved {}] });
            }
        };
        Ok(vec![event])
    }

    pub(super) fn apply(&mut self, event: UserEvent) {
        match event {
            UserEvent::SecondFactorOffered { secret } => self.offered = Some(secret),
            UserEvent::SecondFactorConfirmed { step } => {
                let confirmed = self.offered.take();
                *self = Self { confirmed, last_step: step, ..Self::default() };
            }
            UserEvent::SecondFactorUsed { step } => self.last_step = step,
            UserEvent::RecoveryCodeUsed { index } => {
                self.used_recovery_codes.insert(index);
            }
            UserEvent::SecondFactorRemoved {} => *self = Self::default(),
            _ => {}
        }
    }
}
