//! Copies the journal into the stream, so that event *n* is message *n*.
//!
//! One relay is active at a time, which is only economy ([`follow::elections`]): what keeps the copy right is
//! the stream itself, which takes event *n* only directly behind message *n − 1*. So a relay may be
//! killed, doubled or cut off anywhere, and a message may be delivered late or twice, without harm.
//!
//! At the start and after any trouble, also when it turns out to be another stream of the same name,
//! the stream is compared with the journal (`sync.rs`), and publishing goes on where it ends. A stream
//! that is gone is made again and filled from the journal's first event; so is one that has lost
//! messages in front or in between, since the promise is that both can be read from any position. A
//! stream that tells another history (its last message is another event than the journal's, or one
//! that the journal does not have, or its epoch is another one) is left alone: the relay stops, loudly,
//! and looks again from time to time. Somebody has to decide which history is right; if it is the
//! journal's, [`audit`](crate::audit) has the repair.

mod publish;
mod sync;

use crate::stream::StreamConfig;
use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::{self, context::ContextBuilder};
use domain::{EventSource, Position, SourceError, locks};
use follow::backoff::Backoff;
use follow::elections::{Elections, Lease};
use follow::patience::within;
use sqlx::PgPool;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sync::Comparison;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a JetStream request may take. Longer than a good answer ever does, shorter than a
/// leader's election in a cluster: the relay then waits in its own loop, where it can be stopped.
const REQUEST_PATIENCE: Duration = Duration::from_secs(3);
/// The first and the longest pause after trouble. Short, because a returning server should find the
/// relay ready, and a try costs next to nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How soon it is said that another process publishes, or that nobody knows.
const STANDBY_AFTER: Duration = Duration::from_millis(250);
/// How often to look whether a missing connection is there again.
const CONNECTION_POLL: Duration = Duration::from_millis(50);
/// How long to wait for a connection before somebody else may try: this process may be the only one
/// that NATS cannot be reached from.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);
/// A stream that lost messages is filled again at most this often. If it keeps losing them somebody
/// deletes faster than we fill, and readers are better served by what is new.
const REFILL_INTERVAL: Duration = Duration::from_secs(600);

/// How soon a repair is noticed. One look is a handful of small requests.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What a relay needs to know.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Where to publish.
    pub stream: StreamConfig,
    /// How long to wait before looking again at a stream that tells another history.
    pub recheck_after: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { stream: StreamConfig::default(), recheck_after: RECHECK_INTERVAL }
    }
}

/// What a relay is doing; for metrics, readiness and operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// What it is doing.
    pub state: RelayState,
    /// Every event up to this position is in the stream, as far as this relay knows. Only current
    /// while publishing; none until it has compared the stream, and while another process publishes.
    pub published_position: Option<Position>,
    /// The journal reaches at least this position.
    pub seen_position: Position,
}

/// What a relay is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// Another process has the lease, or this one does not run.
    Standby,
    /// Copying, or waiting for something to copy; the stream is a copy up to the published position.
    Publishing,
    /// PostgreSQL, NATS or the connection to them is in trouble; it is tried again.
    Waiting,
    /// The stream tells another history. Nothing is published until somebody repairs it.
    Diverged(Divergence),
}

/// How a stream tells another history than the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// The stream holds an event that the journal does not have.
    #[error("the stream reaches position {stream_position}, where the journal has no event")]
    Ahead {
        /// The stream's last sequence.
        stream_position: Position,
    },
    /// The same position holds another event.
    #[error(
        "position {position} is event {journal_event} in the journal, {stream_event:?} in the stream"
    )]
    Forked {
        /// The stream's last sequence.
        position: Position,
        /// The journal's event there.
        journal_event: Uuid,
        /// What the stream's message calls itself, if it says.
        stream_event: Option<Uuid>,
    },
    /// The stream was made for a journal with another epoch.
    #[error("the stream belongs to journal {stream_epoch}, this one is {journal_epoch}")]
    ForeignEpoch {
        /// The journal's.
        journal_epoch: Uuid,
        /// The stream's, as its metadata says.
        stream_epoch: String,
    },
}

/// Why a round of synchronizing and publishing ended. Every one of these is tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("PostgreSQL cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Journal(#[from] SourceError),
    #[error("the lease was lost")]
    LeaseLost,
    #[error("NATS cannot be reached")]
    Disconnected,
    #[error("JetStream does not do what it is asked: {0}")]
    JetStream(String),
    #[error("the stream lost messages")]
    Incomplete,
    #[error("the stream was deleted and another one made under its name")]
    Replaced,
    /// Not tried again before somebody has seen to it.
    #[error("the stream tells another history: {0}")]
    Diverged(Divergence),
    #[error("the journal has a gap: after position {after} comes {found}")]
    Gap { after: Position, found: Position },
}

/// Copies the journal into the stream; see the [module](self).
#[derive(Debug)]
pub struct Relay<S> {
    source: Arc<S>,
    pool: PgPool,
    client: Client,
    elections: Elections,
    config: RelayConfig,
    status: watch::Sender<RelayStatus>,
}

impl<S: EventSource> Relay<S> {
    /// A relay of the journal `source` in the database of `pool`, which must not be a read replica. It
    /// works when `elections` elect it.
    #[must_use]
    pub fn new(
        source: Arc<S>,
        pool: PgPool,
        client: Client,
        elections: Elections,
        config: RelayConfig,
    ) -> Self {
        let idle = RelayStatus {
            state: RelayState::Standby,
            published_position: None,
            seen_position: Position::START,
        };
        Self { source, pool, client, elections, config, status: watch::Sender::new(idle) }
    }

    /// What the relay is doing, now and in future.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Works until `stop`. Nothing has to be finished then: whoever is next goes on from what the
    /// stream holds.
    pub async fn run(&self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.work()).await;
        self.stand_by();
    }

    async fn work(&self) {
        let mut memory = Memory {
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            refilled: None,
            suspect: None,
            said: String::new(),
        };
        loop {
            let lease = self.elected().await;
            let trouble = tokio::select! {
                trouble = self.hold(&mut memory) => trouble,
                () = lease.lost() => Trouble::LeaseLost,
            };
            // It is free meanwhile: this process may be the only one that is in trouble.
            drop(lease);
            memory.say(&trouble, |text| {
                tracing::warn!("the relay waits and tries again: {text}");
            });
            self.enter(RelayState::Waiting);
            tokio::time::sleep(memory.backoff.pause()).await;
        }
    }

    async fn elected(&self) -> Lease {
        let elected = self.elections.elected(locks::RELAY, &self.config.stream.name);
        tokio::pin!(elected);
        loop {
            tokio::select! {
                lease = &mut elected => return lease,
                () = tokio::time::sleep(STANDBY_AFTER) => {}
            }
            if self.elections.are_held() {
                self.stand_by();
            } else {
                self.enter(RelayState::Waiting);
            }
        }
    }

    /// What the holder of the lease does, until it cannot go on.
    async fn hold(&self, memory: &mut Memory) -> Trouble {
        loop {
            let trouble = match self.synchronize(memory).await {
                Ok(Comparison::Copy(copy)) => {
                    let name = &self.config.stream.name;
                    let noted = crate::epoch::note_published(&self.pool, name);
                    if let Err(error) = within(noted).await {
                        return error.into();
                    }
                    memory.suspect = None;
                    self.publish(copy, memory).await
                }
                Ok(Comparison::Diverged(divergence)) => Trouble::Diverged(divergence),
                Err(trouble) => trouble,
            };
            let Trouble::Diverged(divergence) = trouble else { return trouble };
            memory.say(&divergence, |text| {
                tracing::error!(
                    nats.stream = %self.config.stream.name,
                    "the relay has stopped, because JetStream tells another history: {text}; \
                     if the journal is right, `gomall audit --repair` publishes it anew"
                );
            });
            if let Divergence::Forked { position, .. } = divergence {
                memory.suspect = Some(position);
            }
            self.enter(RelayState::Diverged(divergence));
            tokio::time::sleep(self.config.recheck_after).await;
        }
    }

    async fn publish(&self, copy: sync::Copy, memory: &mut Memory) -> Trouble {
        let position = copy.cursor.position;
        self.status.send_modify(|status| {
            status.published_position = Some(position);
            status.seen_position = status.seen_position.max(position);
        });
        self.enter(RelayState::Publishing);
        let publisher = publish::Publisher {
            source: &self.source,
            client: &self.client,
            jetstream: &self.jetstream(),
            config: &self.config.stream,
            status: &self.status,
        };
        publisher.run(copy, || memory.works()).await
    }

    async fn synchronize(&self, memory: &mut Memory) -> Result<Comparison, Trouble> {
        self.connected().await?;
        let epoch = within(crate::epoch::current(&self.pool)).await?;
        let may_refill = memory.refilled.is_none_or(|at| at.elapsed() >= REFILL_INTERVAL);
        let synchronizer = sync::Synchronizer {
            source: &*self.source,
            jetstream: &self.jetstream(),
            config: &self.config.stream,
            epoch,
            may_refill,
            suspect: memory.suspect,
        };
        let comparison = synchronizer.run().await?;
        if matches!(&comparison, Comparison::Copy(copy) if copy.refilled) {
            memory.refilled = Some(Instant::now());
        }
        Ok(comparison)
    }

    /// Waits for a connection. Requests made without one would be kept by the client and reach the
    /// server when nobody means them any more.
    async fn connected(&self) -> Result<(), Trouble> {
        let deadline = Instant::now() + CONNECTION_PATIENCE;
        while self.client.connection_state() != State::Connected {
            if Instant::now() >= deadline {
                return Err(Trouble::Disconnected);
            }
            self.enter(RelayState::Waiting);
            tokio::time::sleep(CONNECTION_POLL).await;
        }
        Ok(())
    }

    fn jetstream(&self) -> jetstream::Context {
        ContextBuilder::new().timeout(REQUEST_PATIENCE).build(self.client.clone())
    }

    /// Another process publishes from here on, and how far it is nobody tells this one.
    fn stand_by(&self) {
        self.status.send_if_modified(|status| {
            let known = status.published_position.take();
            let before = std::mem::replace(&mut status.state, RelayState::Standby);
            known.is_some() || before != RelayState::Standby
        });
    }

    fn enter(&self, state: RelayState) {
        self.status.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
    }
}

/// What outlives a try.
struct Memory {
    backoff: Backoff,
    /// When the stream was last filled again.
    refilled: Option<Instant>,
    /// Where the stream was seen to hold another event than the journal; compared again before
    /// anything is published.
    suspect: Option<Position>,
    said: String,
}

impl Memory {
    /// Says something once, however often it happens in a row.
    fn say(&mut self, what: &impl Display, log: impl FnOnce(&str)) {
        let text = what.to_string();
        if self.said != text {
            log(&text);
            self.said = text;
        }
    }

    /// Publishing is proven to work: the next trouble is a new one.
    fn works(&mut self) {
        self.backoff.reset();
        if !self.said.is_empty() {
            self.said.clear();
            tracing::info!("the relay publishes again");
        }
    }
}
