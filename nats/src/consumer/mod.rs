//! Gives every event of some types its effect, through a durable pull consumer of the stream.
//!
//! JetStream delivers at least once and forgets a durable with its stream, so it is not what the
//! effect rests on. The consumer's own cursor in PostgreSQL (`positions.rs`) says up to where every
//! event *had* its effect; the durable is made again from there whenever it is gone. What is
//! delivered again below the cursor is recognised by its position; above it, by the record that the
//! [`Handler`] keeps with its effect. A stream that begins behind the cursor would skip events
//! without a word: what is missing is then read from the journal.
//!
//! The cursor names the event that it stands behind. Where the journal has another one there, or none (a
//! fail-over that lost commits, a restored backup), the cursor is of a history that is gone, and every
//! event is given its effect again; what had it is known by its id. A stream that tells another
//! history than the journal is not read.
//!
//! Several processes may run the same consumer; each event goes to one of them.

mod gap;
mod positions;
mod session;

use crate::public_event::PublicEvent;
use crate::stream::StreamConfig;
use async_nats::Client;
use domain::{EventSource, SourceError};
use follow::backoff::Backoff;
use sqlx::PgPool;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first and the longest pause after trouble.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a consumer needs to know.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Names the durable and its cursor: no blanks, `.`, `*` or `>`.
    pub name: String,
    /// Where the events come from.
    pub stream: StreamConfig,
    /// `(aggregate type, event type)` of what it wants; never empty.
    pub events: Vec<(&'static str, &'static str)>,
    /// How many events one process handles at a time, at least 1.
    pub concurrency: usize,
    /// When an event is delivered again that was neither settled nor put off. Longer than handling
    /// one ever takes.
    pub ack_wait: Duration,
}

/// An event as it is handed to a [`Handler`].
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event, never an oversized stub.
    pub event: PublicEvent<'static>,
    /// How often this durable has delivered it, from 1. A new durable counts anew.
    pub delivered: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The effect is durable, or there is none.
    Done,
    /// Deliver it again after a while.
    Again {
        /// When.
        after: Duration,
    },
}

/// The effect of an event.
pub trait Handler: Send + Sync + 'static {
    /// Has the effect, once: the same event may be delivered again at any time, also to another
    /// process while this call runs. Keep a record of the event's id with the effect. Give up in
    /// time: a durable that was lost is made again when all that is under way has ended.
    fn handle(&self, delivery: &Delivery) -> impl Future<Output = Settled> + Send;

    /// Hears whether events can be delivered.
    fn gets_on(&self, _gets_on: bool) {}
}

/// A durable consumer; see the [module](self).
#[derive(Debug)]
pub struct Consumer<S> {
    source: Arc<S>,
    pool: PgPool,
    client: Client,
    config: ConsumerConfig,
}

/// Why a session ended. Every one of these is tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("PostgreSQL cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Journal(#[from] SourceError),
    #[error("NATS cannot be reached")]
    Disconnected,
    #[error("JetStream does not do what it is asked: {0}")]
    JetStream(String),
    #[error("the stream begins behind our cursor")]
    Gap,
    #[error("the stream tells another history than the journal")]
    OtherHistory,
}

impl<S: EventSource> Consumer<S> {
    /// A consumer of the journal `source` in the database of `pool`.
    #[must_use]
    pub fn new(source: Arc<S>, pool: PgPool, client: Client, config: ConsumerConfig) -> Self {
        Self { source, pool, client, config }
    }

    /// Hands events to `handler` until `stop`; then finishes what is being handled, within bounds.
    pub async fn run<H: Handler>(self, handler: Arc<H>, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut said = String::new();
        while !stop.is_cancelled() {
            let works = || {
                backoff.reset();
                said.clear();
                handler.gets_on(true);
            };
            let Err(trouble) = self.session(&*handler, &stop, works).await else { return };
            handler.gets_on(false);
            let text = trouble.to_string();
            if text != said {
                tracing::warn!(
                    nats.consumer = %self.config.name,
                    "a consumer waits and tries again: {text}"
                );
                said = text;
            }
            let _stopped = stop.run_until_cancelled(tokio::time::sleep(backoff.pause())).await;
        }
    }

    fn wants(&self, aggregate_type: &str, event_type: &str) -> bool {
        self.config.events.contains(&(aggregate_type, event_type))
    }
}

fn trouble(error: impl Display) -> Trouble {
    Trouble::JetStream(error.to_string())
}
