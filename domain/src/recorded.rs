use crate::Position;
use crate::event::{DecodeError, EventTypes, decode_event};
use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// Names one aggregate's stream in the journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The aggregate's `TYPE`.
    pub aggregate_type: &'static str,
    /// The aggregate's id: `[A-Za-z0-9_-]{1,64}`.
    pub aggregate_id: String,
}

/// An aggregate with what its streams are named by.
pub trait Identified: Aggregate {
    /// Names one of them; as text it is `[A-Za-z0-9_-]{1,64}`.
    type Id: fmt::Display + ?Sized;
}

impl StreamKey {
    /// The stream of the aggregate of that id.
    #[must_use]
    pub fn of<A: Identified>(id: &A::Id) -> Self {
        Self { aggregate_type: A::TYPE, aggregate_id: id.to_string() }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

/// Who did something, and what led to it. Stored with every event as a JSON object of strings,
/// which is the shape that `cqrs-es` knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The event's id once more, so that a stream read through a stock `cqrs-es` repository
    /// still tells it.
    pub event_id: Uuid,
    /// `user:<id>`, `anonymous` or `system:<process>`.
    pub actor: String,
    /// One id for everything that one request led to.
    pub correlation_id: Uuid,
    /// The event or request that led directly to this one, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// W3C trace context, if the request had one or was sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// An event as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the one global order: 1, 2, 3, … without a gap.
    pub position: Position,
    /// The aggregate's type.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// Its place in the aggregate's stream: 1, 2, 3, …
    pub sequence: u64,
    /// The event's type, e.g. `ItemAdded`.
    pub event_type: String,
    /// The version of the type's shape, a decimal number.
    pub event_version: String,
    /// The event's fields, a JSON object, exactly as written.
    pub payload: String,
    /// A JSON object that reads as [`Metadata`], exactly as written.
    pub metadata: String,
    /// Unique for ever.
    pub event_id: Uuid,
    /// When it was appended, on the database's clock; never goes back with growing position.
    pub recorded_at: OffsetDateTime,
}

impl RecordedEvent {
    /// What it takes in memory, near enough: the rest of it is short.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.metadata.len()
    }

    /// The event itself, typed.
    ///
    /// # Errors
    /// [`DecodeError`] when the stored form does not fit `E`.
    pub fn decode<E: EventTypes>(&self) -> Result<E, DecodeError> {
        decode_event(&self.event_type, &self.event_version, &self.payload)
    }

    /// Who did it and why.
    ///
    /// # Errors
    /// [`DecodeError`] when the stored metadata is not ours.
    pub fn metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_str(&self.metadata).map_err(|reason| DecodeError {
            event_type: self.event_type.clone(),
            event_version: self.event_version.clone(),
            reason: reason.into(),
        })
    }
}

/// Which events a reader wants. Empty lists mean "all".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Event type names.
    pub event_types: Vec<String>,
    /// One aggregate type.
    pub aggregate_type: Option<String>,
    /// One aggregate, within `aggregate_type` if that is given.
    pub aggregate_id: Option<String>,
    /// The last position wanted.
    pub until: Option<Position>,
}

/// How far somebody has read: behind which event. A position alone cannot tell a journal from another
/// one that was put in its place (a fail-over that lost commits, a restored backup), so whoever goes
/// on from a position says as well which event stood there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last position that was read.
    pub position: Position,
    /// The event that stood there; none where nobody wrote it down, and then any is believed.
    pub event_id: Option<Uuid>,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { position: Position::START, event_id: None };

    /// Directly behind an event.
    #[must_use]
    pub fn behind(event: &RecordedEvent) -> Self {
        Self { position: event.position, event_id: Some(event.event_id) }
    }

    /// Behind whatever stands at a position.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self { position, event_id: None }
    }
}

/// Why a source could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Trying again later is right.
    #[error("the journal could not be read: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal is not, or no longer, the one that the cursor was taken from: it ends before, or
    /// has another event there. Whatever was derived from it up to there is not to be believed.
    #[error("position {} of the journal is not the event that was read there", .0.position)]
    OtherHistory(Cursor),
}

impl SourceError {
    /// That something kept the source from answering.
    pub fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Where a batch of events ends, however few they are. So whoever holds batches needs a bounded amount
/// of memory, also while all events are as large as the journal takes them. A thousand events of the
/// usual size are a tenth of it: ordinary batches end where their reader wants them to.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Whether a batch ended because it was full, by number or by size; else the source had no more.
#[must_use]
pub fn batch_is_full(batch: &[Arc<RecordedEvent>], limit: usize) -> bool {
    let bytes: usize = batch.iter().map(|event| event.bytes()).sum();
    batch.len() >= limit || bytes >= MAX_BATCH_BYTES
}

/// Whoever can deliver recorded events in order: the journal in PostgreSQL, or a stream elsewhere.
///
/// Readers (projections, the relay, process managers) depend on this and not on the journal.
pub trait EventSource: Send + Sync + 'static {
    /// The next events after `after`, in order of position, at most `limit`, and none behind the one
    /// with which they are [`MAX_BATCH_BYTES`] or more; empty when there is none yet. No event is
    /// ever skipped, and none is given that does not follow the event that `after` names.
    fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<RecordedEvent>>, SourceError>> + Send;

    /// Those events at `positions` that the journal holds now, in order, and none behind the one with
    /// which they are [`MAX_BATCH_BYTES`] or more. Asks the database, never a memory: what is
    /// compared with the answer is to be compared with the truth.
    fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> impl Future<Output = Result<Vec<Arc<RecordedEvent>>, SourceError>> + Send;

    /// The event that the journal holds at a position now, as [`stored`](Self::stored).
    fn event_at(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<Option<Arc<RecordedEvent>>, SourceError>> + Send {
        async move { Ok(self.stored(position..=position).await?.into_iter().next()) }
    }

    /// Returns when events after `after` are known to exist, or when the fall-back poll interval
    /// is over; never later. A hint, not a promise: read afterwards.
    fn wait_after(&self, after: Position) -> impl Future<Output = ()> + Send;
}
