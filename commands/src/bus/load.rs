//! Cold loads: state from the newest snapshot and the events after it, which are read through
//! `postgres-es`'s repository.

use super::snapshots::{Due, Snapshots};
use crate::counters::Counters;
use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use domain::{DecodeError, EventTypes, Metadata, StreamKey, Undecodable, decode_parsed};
use postgres_es::PostgresEventRepository;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// How long a load may take. A stream of a hundred thousand events takes a second; what is late is dropped
/// with its connection, which may have died without a word, and lets others at the aggregate.
const LOAD_PATIENCE: Duration = Duration::from_secs(10);

/// An aggregate as the journal has it.
#[derive(Debug, Clone, Default)]
pub struct Loaded<A> {
    /// Its state.
    pub state: A,
    /// The sequence of its last event, which is its version; 0 when it has none.
    pub sequence: u64,
    /// The id of its last event.
    pub head: Option<Uuid>,
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database did not answer.
    #[error("the journal could not be read: {0}")]
    Read(#[from] PersistenceError),
    /// An event could not be decoded; the aggregate is not usable until that is mended.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<sqlx::Error> for LoadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Read(PersistenceError::ConnectionError(error.into()))
    }
}

/// The same without the type.
#[derive(Clone)]
pub(super) struct AnyState {
    pub(super) state: Arc<dyn Any + Send + Sync>,
    pub(super) sequence: u64,
    pub(super) head: Option<Uuid>,
    /// How a snapshot writes it.
    pub(super) encode: fn(&(dyn Any + Send + Sync)) -> serde_json::Result<String>,
}

impl AnyState {
    pub(super) fn new<A: Aggregate + 'static>(loaded: Loaded<A>) -> Self {
        Self {
            state: Arc::new(loaded.state),
            sequence: loaded.sequence,
            head: loaded.head,
            encode: |state| {
                let state = state.downcast_ref::<A>();
                serde_json::to_string(state.expect("encode and state are made together"))
            },
        }
    }

    pub(super) fn typed<A: Clone + Default + 'static>(&self) -> Loaded<A> {
        let state = self.state.downcast_ref::<A>().cloned().unwrap_or_default();
        Loaded { state, sequence: self.sequence, head: self.head }
    }
}

/// Reads aggregates from the journal.
pub(super) struct Loader {
    repository: PostgresEventRepository,
    pub(super) snapshots: Snapshots,
    counters: Arc<Counters>,
}

impl Loader {
    pub(super) fn new(
        repository: PostgresEventRepository,
        snapshots: Snapshots,
        counters: Arc<Counters>,
    ) -> Self {
        Self { repository, snapshots, counters }
    }

    /// Reads aggregate `id`, as of `version` if that is given.
    pub(super) async fn load<A: Aggregate<Event: EventTypes> + Clone + 'static>(
        &self,
        id: &str,
        version: Option<u64>,
    ) -> Result<Loaded<A>, LoadError> {
        let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
        tokio::time::timeout(LOAD_PATIENCE, self.read(id, version)).await.unwrap_or_else(|_| late())
    }

    async fn read<A: Aggregate<Event: EventTypes> + Clone + 'static>(
        &self,
        id: &str,
        version: Option<u64>,
    ) -> Result<Loaded<A>, LoadError> {
        self.counters.loads.fetch_add(1, Relaxed);
        let seen = self.snapshots.read::<A>(id, version).await?;
        let mut events = match usize::try_from(seen.sequence) {
            Ok(sequence @ 1..) => self.repository.get_last_events::<A>(id, sequence).await?,
            _ => self.repository.get_events::<A>(id).await?,
        };
        if let Some(version) = version {
            events.retain(|event| event.sequence as u64 <= version);
        }
        let before = seen.sequence;
        let loaded = fold_onto(seen, events)?;
        if version.is_none() && self.snapshots.is_overdue(before, loaded.sequence) {
            let stream = StreamKey { aggregate_type: A::TYPE, aggregate_id: id.to_owned() };
            self.snapshots.ask(Due { stream, state: AnyState::new(loaded.clone()) });
        }
        Ok(loaded)
    }
}

/// Folds stored events, in order, into a state.
///
/// # Errors
/// [`DecodeError`] at the first event that does not decode.
pub fn fold<A: Aggregate<Event: EventTypes>>(
    events: Vec<SerializedEvent>,
) -> Result<Loaded<A>, DecodeError> {
    fold_onto(Loaded::default(), events)
}

fn fold_onto<A: Aggregate<Event: EventTypes>>(
    mut loaded: Loaded<A>,
    events: Vec<SerializedEvent>,
) -> Result<Loaded<A>, DecodeError> {
    for event in events {
        let decoded = decode_parsed(&event.event_type, &event.event_version, event.payload)?;
        loaded.state.apply(decoded);
        loaded.sequence = event.sequence as u64;
        let metadata: Metadata =
            serde_json::from_value(event.metadata).map_err(|reason| DecodeError {
                event_type: event.event_type,
                event_version: event.event_version,
                reason: Undecodable::Payload(reason),
            })?;
        loaded.head = Some(metadata.event_id);
    }
    Ok(loaded)
}
