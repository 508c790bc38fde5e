use super::{SessionCommand, SessionEnd, SessionEvent, SessionRejection};
use crate::{Facts, Identified, SessionId, Timestamp, UserId};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

/// For how long a spent token is still exchanged, counted from the exchange that spent it.
pub const TOLERANCE_SECONDS: i64 = 10;

/// The most tokens of one session that are live at the same time.
pub const MAX_LIVE_TOKENS: usize = 8;

/// The most tokens that are remembered as spent a moment ago. Whoever refreshes more often than
/// this within the tolerance is no browser.
pub const MAX_TOLERATED_TOKENS: usize = 32;

/// How long after its first end a session ends that was started before sessions had a last end.
const OLD_SECONDS: i64 = 60 * 24 * 60 * 60;

/// A session's state. `Default` is a session that was not started yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose it is; absent before it was started.
    pub user_id: Option<UserId>,
    /// When it ends if it is not refreshed; absent before it was started.
    pub expires_at: Option<Timestamp>,
    /// When it ends however often it is refreshed; absent before it was started.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// How often all sessions of its user had ended when it began, or when it was last kept.
    #[serde(default)]
    pub epoch: u32,
    /// When whoever holds it last proved who they are; absent when that is not known.
    #[serde(default)]
    pub proved_at: Option<Timestamp>,
    /// Whether they ever did with a second factor.
    #[serde(default)]
    pub second_factor: bool,
    /// The number of the token that was given out last; 0 before it was started.
    pub generation: u32,
    /// The numbers of the tokens that were given out and not spent, ascending; at most
    /// [`MAX_LIVE_TOKENS`].
    pub live: Vec<u32>,
    /// The tokens that were spent a moment ago, oldest first; at most [`MAX_TOLERATED_TOKENS`].
    pub spent: Vec<SpentToken>,
    /// The numbers of the tokens that were dropped from `live` unspent, oldest first; at most
    /// [`MAX_TOLERATED_TOKENS`]. They are refused without an accusation; of every other one that was given
    /// out and is not live it is known that it was spent.
    #[serde(default)]
    pub dropped: Vec<u32>,
    /// Why no token is accepted any more, if so.
    pub revoked: Option<SessionEnd>,
}

/// A token that was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentToken {
    /// Its number.
    pub generation: u32,
    /// When it was first exchanged.
    pub spent_at: Timestamp,
}

impl Session {
    /// Whether it was started.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.user_id.is_some()
    }

    /// Whether access tokens of this session are accepted at `now`: started, not revoked, not over.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires_at.is_some_and(|expires_at| now < expires_at)
    }

    fn exchange(&mut self, presented: u32, generation: u32, now: Timestamp) {
        if let Some(index) = self.live.iter().position(|live| *live == presented) {
            self.live.remove(index);
            self.spent.push(SpentToken { generation: presented, spent_at: now });
        }
        self.spent.retain(|spent| spent.is_tolerated(now));
        if self.spent.len() > MAX_TOLERATED_TOKENS {
            self.spent.remove(0);
        }
        self.generation = generation;
        self.live.push(generation);
        if self.live.len() > MAX_LIVE_TOKENS {
            self.dropped.push(self.live.remove(0));
        }
        if self.dropped.len() > MAX_TOLERATED_TOKENS {
            self.dropped.remove(0);
        }
    }
}

impl SpentToken {
    /// Whether the token may still be exchanged once more at `now`.
    #[must_use]
    pub fn is_tolerated(&self, now: Timestamp) -> bool {
        now <= self.spent_at.plus_seconds(TOLERANCE_SECONDS)
    }
}

impl Identified for Session {
    type Id = SessionId;
}

impl Aggregate for Session {
    const TYPE: &'static str = "session";
    type Command = SessionCommand;
    type Event = SessionEvent;
    type Error = SessionRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: SessionCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), SessionRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::SessionStarted {
                user_id,
                expires_at,
                ends_at,
                epoch,
                proved_at,
                second_factor,
                device: _,
            } => {
                self.user_id = Some(user_id);
                self.expires_at = Some(expires_at);
                self.ends_at = Some(ends_at.unwrap_or(expires_at.plus_seconds(OLD_SECONDS)));
                self.epoch = epoch;
                self.proved_at = proved_at;
                self.second_factor = second_factor;
                self.generation = 1;
                self.live = vec![1];
            }
            SessionEvent::SessionProved { proved_at, second_factor } => {
                self.proved_at = Some(proved_at);
                self.second_factor |= second_factor;
            }
            SessionEvent::SessionKept { epoch } => self.epoch = epoch,
            SessionEvent::SessionRefreshed { presented, generation, refreshed_at, expires_at } => {
                self.exchange(presented, generation, refreshed_at);
                self.expires_at = Some(expires_at);
            }
            SessionEvent::SessionRevoked { reason } => {
                self.revoked = Some(reason);
                self.live.clear();
                self.spent.clear();
            }
        }
    }
}
