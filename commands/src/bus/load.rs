//! Cold loads: state from the journal, through `postgres-es`'s repository.

use cqrs_es::Aggregate;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError, SerializedEvent};
use domain::{DecodeError, EventTypes, Metadata, Undecodable, decode_event};
use postgres_es::PostgresEventRepository;
use std::any::Any;
use std::sync::Arc;
use uuid::Uuid;

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
}

impl AnyState {
    pub(super) fn new<A: Send + Sync + 'static>(loaded: Loaded<A>) -> Self {
        Self { state: Arc::new(loaded.state), sequence: loaded.sequence, head: loaded.head }
    }

    pub(super) fn typed<A: Clone + Default + 'static>(&self) -> Loaded<A> {
        let state = self.state.downcast_ref::<A>().cloned().unwrap_or_default();
        Loaded { state, sequence: self.sequence, head: self.head }
    }
}

/// Reads aggregate `id`, as of `version` if that is given.
pub(super) async fn load<A: Aggregate<Event: EventTypes>>(
    repository: &PostgresEventRepository,
    id: &str,
    version: Option<u64>,
) -> Result<Loaded<A>, LoadError> {
    let mut events = repository.get_events::<A>(id).await?;
    if let Some(version) = version.and_then(|version| usize::try_from(version).ok()) {
        events.truncate(version);
    }
    Ok(fold(events)?)
}

/// Folds stored events, in order, into a state.
///
/// # Errors
/// [`DecodeError`] at the first event that does not decode.
pub fn fold<A: Aggregate<Event: EventTypes>>(
    events: Vec<SerializedEvent>,
) -> Result<Loaded<A>, DecodeError> {
    let mut loaded = Loaded { state: A::default(), sequence: 0, head: None };
    for event in events {
        let payload = event.payload.to_string();
        loaded.state.apply(decode_event(&event.event_type, &event.event_version, &payload)?);
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
