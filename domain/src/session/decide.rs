use super::{Session, SessionEnd, SessionEvent};
use crate::{Device, Facts, Rejection, RejectionKind, Sealed, Timestamp, UserId};

/// What can be asked of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionCommand {
    /// Sign in; refresh token number 1 is given out.
    Start {
        /// Who.
        user_id: UserId,
        /// When the session ends if it is not refreshed.
        expires_at: Timestamp,
        /// When it ends however often it is refreshed.
        ends_at: Timestamp,
        /// The user's `session_epoch` when they were found to be who they say.
        epoch: u32,
        /// Whether they used a second factor.
        second_factor: bool,
        /// What they sign in with.
        device: Option<Sealed<Device>>,
    },
    /// Prove again who holds it.
    Prove {
        /// Whether they used a second factor.
        second_factor: bool,
    },
    /// Go on where all others of its user end.
    Keep {
        /// The user's `session_epoch` from now on.
        epoch: u32,
    },
    /// Exchange a refresh token for the next one, whose number is the state's `generation`
    /// afterwards. A copied token is an accepted command too: look at the state's `revoked`.
    Refresh {
        /// The number of the presented token, which our key vouches for.
        generation: u32,
        /// When the session ends if it is not refreshed again.
        expires_at: Timestamp,
    },
    /// End it.
    Revoke {
        /// Why.
        reason: SessionEnd,
    },
}

/// Why a session refused. What concerns a presented token says no more to the client than that it
/// was not accepted, except after a reuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRejection {
    /// It was never started.
    #[error("there is no such session")]
    NotFound,
    /// It was started before.
    #[error("the session exists already")]
    AlreadyExists,
    /// The token is none that the session accepts: never given out, or dropped because too many
    /// were live.
    #[error("the refresh token is not accepted; sign in again")]
    TokenNotLive,
    /// The session was not refreshed in time.
    #[error("the session is over; sign in again")]
    Expired,
    /// The session was ended.
    #[error("the session was ended; sign in again")]
    Revoked,
    /// The session was ended because one of its tokens was copied.
    #[error("a refresh token of this session was used twice; sign in again")]
    RefreshReused,
}

impl Rejection for SessionRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "session_exists",
            Self::TokenNotLive | Self::Expired | Self::Revoked => "unauthenticated",
            Self::RefreshReused => "refresh_reused",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists => RejectionKind::Conflict,
            Self::TokenNotLive | Self::Expired | Self::Revoked | Self::RefreshReused => {
                RejectionKind::Unauthenticated
            }
        }
    }
}

impl Session {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`SessionRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: SessionCommand,
        facts: &Facts,
    ) -> Result<Vec<SessionEvent>, SessionRejection> {
        match command {
            SessionCommand::Start {
                user_id,
                expires_at,
                ends_at,
                epoch,
                second_factor,
                device,
            } => {
                if self.exists() {
                    return Err(SessionRejection::AlreadyExists);
                }
                Ok(vec![SessionEvent::SessionStarted {
                    user_id,
                    expires_at: expires_at.min(ends_at),
                    ends_at: Some(ends_at),
                    epoch,
                    proved_at: Some(facts.now),
                    second_factor,
                    device,
                }])
            }
            SessionCommand::Prove { second_factor } => {
                self.check_live(facts.now)?;
                Ok(vec![SessionEvent::SessionProved { proved_at: facts.now, second_factor }])
            }
            SessionCommand::Keep { epoch } => {
                self.check_live(facts.now)?;
                let kept = (self.epoch != epoch).then_some(SessionEvent::SessionKept { epoch });
                Ok(kept.into_iter().collect())
            }
            SessionCommand::Refresh { generation, expires_at } => {
                self.refresh(generation, expires_at, facts.now)
            }
            SessionCommand::Revoke { reason } => {
                if !self.exists() {
                    return Err(SessionRejection::NotFound);
                }
                let revoked =
                    self.revoked.is_none().then_some(SessionEvent::SessionRevoked { reason });
                Ok(revoked.into_iter().collect())
            }
        }
    }

    /// Neither revoked nor over.
    fn check_live(&self, now: Timestamp) -> Result<(), SessionRejection> {
        match self.revoked {
            Some(SessionEnd::RefreshReused) => return Err(SessionRejection::RefreshReused),
            Some(SessionEnd::SignedOut | SessionEnd::Revoked) => {
                return Err(SessionRejection::Revoked);
            }
            None => {}
        }
        // A session that never was is a token that is not accepted, too: it may have been started
        // in a database that was restored to an earlier moment.
        let expires_at = self.expires_at.ok_or(SessionRejection::TokenNotLive)?;
        if now >= expires_at { Err(SessionRejection::Expired) } else { Ok(()) }
    }

    fn refresh(
        &self,
        presented: u32,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<SessionEvent>, SessionRejection> {
        self.check_live(now)?;
        let expires_at = self.ends_at.map_or(expires_at, |ends_at| expires_at.min(ends_at));
        let spent_just_now = || {
            let spent = self.spent.iter().find(|spent| spent.generation == presented);
            spent.is_some_and(|spent| spent.is_tolerated(now))
        };
        if self.live.contains(&presented) || spent_just_now() {
            let next = self.generation.checked_add(1).ok_or(SessionRejection::Expired)?;
            return Ok(vec![SessionEvent::SessionRefreshed {
                presented,
                generation: next,
                refreshed_at: now,
                expires_at,
            }]);
        }
        let was_given_out = (1..=self.generation).contains(&presented);
        if was_given_out && !self.dropped.contains(&presented) {
            return Ok(vec![SessionEvent::SessionRevoked { reason: SessionEnd::RefreshReused }]);
        }
        Err(SessionRejection::TokenNotLive)
    }
}
