//! The journal: an append-only list of events in PostgreSQL with one gap-free global order.
//!
//! One writer task per process owns a connection and appends whatever is waiting by one call of
//! the database function `journal_append_v4` (`migrations/0019_tags.sql`). While one batch
//! commits, the next one gathers; there is no timer. Dropping a caller's future changes nothing:
//! once queued, a command belongs to the writer.

mod acknowledged;
mod batch;
mod clock;
mod failure;
pub mod housekeeping;
mod read;
mod report;
mod session;
mod store;
mod tail;
mod writer;

pub use acknowledged::AcknowledgedKey;
pub use clock::{Clock, MAX_OFFSET};
pub use read::{JournalReader, ReadError};
pub use report::summarize;
pub use store::JournalEventStore;
pub use tail::{OtherHistory, TOLD_LOST_EVENTS, Tail};
pub use writer::WriterSettings;

use crate::counters::Counters;
use acknowledged::Acknowledged;
use domain::{Position, StreamKey, Tag, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The most commands that wait for the writer; beyond it callers wait for a place, so that memory
/// stays bounded and overload is felt at the door.
pub const QUEUE_COMMANDS: usize = 4_096;

/// The longest that somebody waits for a turn: other processes' turns, and a batch of each between them.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// The most bytes of one event's payload and metadata together; the table checks the same.
pub const MAX_EVENT_BYTES: usize = 512 * 1024;

/// The most events that one command may append.
pub const MAX_EVENTS_PER_COMMAND: usize = 512;

/// An event on its way into the journal.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The stream it belongs to.
    pub stream: StreamKey,
    /// Its place in the stream: the last one that the decision saw, plus one.
    pub sequence: u64,
    /// The type's name.
    pub event_type: String,
    /// The version of the type's shape.
    pub event_version: String,
    /// A JSON object.
    pub payload: String,
    /// A JSON object that reads as [`domain::Metadata`].
    pub metadata: String,
    /// Fresh for every attempt: a refused attempt's id must never be taken for the next one's.
    pub event_id: Uuid,
    /// What it can be found by besides its stream, each once.
    pub tags: Vec<Tag>,
}

/// What a decision saw, and what must still be so when its events are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// The last event of a stream.
    Head {
        /// The stream.
        stream: StreamKey,
        /// The last event's id, or none when it was empty.
        head: Option<Uuid>,
    },
    /// No event has the tag behind a position.
    Untagged {
        /// The tag.
        tag: Tag,
        /// The position of the last event with the tag that was seen, 0 when there was none.
        after: Position,
    },
}

/// An idempotency key with what is recorded under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Hash of principal, method, path and the client's key.
    pub key: Uuid,
    /// Tells another body under the same key apart; see [`crate::bus::FingerprintKey`].
    pub fingerprint: [u8; 32],
    /// JSON of versions from which the answer can be rendered again. None for a refusal: the
    /// key is looked up, and nothing is kept under it.
    pub outcome: Option<String>,
}

/// One command's outcome on its way through the writer. All or nothing. Without events it asks
/// whether what the decision saw still holds (nothing to do, a refusal).
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Every stream that the decision saw, and every tag.
    pub expectations: Vec<Expectation>,
    /// What it decided, in order.
    pub events: Vec<NewEvent>,
    /// The idempotency key, if the request had one.
    pub keyed: Option<Keyed>,
}

/// What the journal did with an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It holds, and its events are durable.
    Done {
        /// Positions of the first and the last event; none without events.
        positions: Option<(Position, Position)>,
        /// The journal's last position when this was done.
        head: Position,
        /// When its events were recorded; none without events.
        recorded_at: Option<OffsetDateTime>,
    },
    /// Something that the decision saw has changed. Decide again.
    Conflict,
    /// The key has an outcome already; nothing was written.
    Replay(FirstOutcome),
}

/// What became of the command that a key was used for first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstOutcome {
    /// Positions of the first and last event that were written; none when there was nothing to do.
    pub positions: Option<(Position, Position)>,
    /// The position to wait for, which was answered then: that of the last event, or the head.
    pub head: Position,
    /// The body's fingerprint; none when it is not known any more.
    pub fingerprint: Option<[u8; 32]>,
    /// What was recorded, see [`Keyed::outcome`].
    pub outcome: String,
    /// When that was.
    pub recorded_at: OffsetDateTime,
}

/// Why the writer could not take a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The command's data cannot be stored; sending it again cannot help.
    #[error("the journal cannot store this command: {0}")]
    Unstorable(String),
    /// The writer has stopped; the process is going down.
    #[error("the journal's writer has stopped")]
    Stopped,
    /// The clocks of this process and of the database are too far apart, or the database's has gone back.
    /// Nothing was written, and nothing is until they are right.
    #[error("the clocks of the shop and of its database disagree")]
    ClockJumped,
    /// The database refuses to carry this out, by SQLSTATE, and will until somebody has seen to it: a
    /// permission, a function that is missing. Nothing was written.
    #[error("the database refuses to append: {0}")]
    Refused(String),
    /// The database could not be reached in time. Whether the command is in the journal is not
    /// known; the same idempotency key finds out.
    #[error("the journal could not be reached in time")]
    Unreachable,
}

pub(crate) struct Job {
    append: Append,
    /// The turn that it was decided in, if nobody else could append meanwhile. One that is over means
    /// nothing.
    turn: Option<u64>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// The handle by which the process appends. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    queue: mpsc::Sender<Job>,
    turns: mpsc::Sender<oneshot::Sender<Turn>>,
    head: watch::Receiver<Position>,
    pool: PgPool,
    counters: Arc<Counters>,
    acknowledged: Arc<Acknowledged>,
    clock: Arc<Clock>,
}

/// A place in the writer's queue, taken before the decision so that nothing has to wait between
/// a decision and its hand-over.
pub struct Place<'a>(mpsc::Permit<'a, Job>);

/// Until it is dropped no process appends but for those who have a turn, in this process: whatever is
/// read from the journal stays the newest.
pub struct Turn {
    /// Who have the same one may decide on each other's decisions.
    number: u64,
    /// The writer waits until all of them are dropped.
    _over: mpsc::Sender<()>,
}

impl Turn {
    /// Tells one turn from another.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// The writer's answer to come. Dropping it is harmless.
pub struct Pending(oneshot::Receiver<Result<Appended, AppendError>>);

impl Journal {
    /// Starts the writer task on a connection of its own. `pool` serves cold loads and reads.
    /// The task ends when every clone of the journal is dropped and the queue is empty.
    #[must_use]
    pub fn start(
        pool: PgPool,
        connect: PgConnectOptions,
        settings: WriterSettings,
        now: fn() -> Timestamp,
    ) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE_COMMANDS);
        let (turns, asked) = mpsc::channel(QUEUE_COMMANDS);
        let (head_sender, head) = watch::channel(Position::START);
        let counters = Arc::new(Counters::default());
        let counting = Arc::clone(&counters);
        let clock = Arc::new(Clock::new(now));
        let running =
            writer::run(connect, jobs, asked, head_sender, settings, counting, Arc::clone(&clock));
        let task = tokio::spawn(running);
        let acknowledged = Arc::default();
        (Self { queue, turns, head, pool, counters, clock, acknowledged }, task)
    }

    /// Waits for a place in the queue.
    ///
    /// # Errors
    /// [`AppendError::Stopped`].
    pub async fn place(&self) -> Result<Place<'_>, AppendError> {
        self.queue.reserve().await.map(Place).map_err(|_| AppendError::Stopped)
    }

    /// Waits for a turn in which nobody else appends, for a decision that others kept overtaking; none
    /// when there is none in time. Decide at once and drop it: all processes wait.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let (give, given) = oneshot::channel();
        self.turns.try_send(give).ok()?;
        tokio::time::timeout(TURN_WAIT, given).await.ok()?.ok()
    }

    /// Appends one command and waits for its outcome.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.place().await?.hand_over(append)?.outcome().await
    }

    /// The last position that this process's writer has seen committed; a wake-up for readers.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    /// The database's time, by which events are recorded.
    #[must_use]
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// What this process's writer, and the bus on it, count.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The caller is about to be told that its command is durable.
    pub(crate) fn acknowledge(&self, command: AcknowledgedKey) {
        self.acknowledged.note(command);
    }

    /// Which keyed commands this process lately answered for have events behind `position`; each is
    /// told once. For the case that the journal ends there by now.
    #[must_use]
    pub fn acknowledged_beyond(&self, position: Position) -> Vec<AcknowledgedKey> {
        self.acknowledged.take_beyond(position)
    }

    /// The pool that reads go through.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

impl Place<'_> {
    /// Gives the command to the writer, which owns it from here on. Does not wait.
    ///
    /// # Errors
    /// [`AppendError::Unstorable`] when the command breaks a bound of the table: checked here,
    /// because a data error in the database aborts the whole batch.
    pub fn hand_over(self, append: Append) -> Result<Pending, AppendError> {
        self.hand_over_in(append, None)
    }

    /// The same, for what was decided in a turn, or on what was decided in one.
    pub(crate) fn hand_over_in(
        self,
        append: Append,
        turn: Option<u64>,
    ) -> Result<Pending, AppendError> {
        batch::check(&append)?;
        let (reply, outcome) = oneshot::channel();
        self.0.send(Job { append, turn, reply });
        Ok(Pending(outcome))
    }
}

impl Pending {
    /// Waits for the writer's answer.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn outcome(self) -> Result<Appended, AppendError> {
        self.0.await.unwrap_or(Err(AppendError::Stopped))
    }
}
