use domain::{DecodeError, EventTypes, Position, RecordedEvent};
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::str::FromStr;
use std::sync::Arc;

/// A read model as the runner sees it.
pub trait Projection: Send + Sync + 'static {
    /// Its name in checkpoints, routes and metrics; never changes.
    fn name(&self) -> &'static str;

    /// Grows when the same events give other rows than before; the rows are then built anew.
    fn version(&self) -> i32;

    /// The aggregate types that it reads. Whole streams rather than single event types, because a
    /// row's version is its aggregate's sequence and has to count every event.
    fn aggregates(&self) -> &'static [&'static str];

    /// The tables that it writes, without a schema, and nobody else does: what a rebuild builds
    /// anew and swaps.
    fn tables(&self) -> &'static [&'static str];

    /// What the event belongs to for these rows: when it cannot be applied, later events of the same
    /// ordering key wait behind it and all others go on. None: all later events wait.
    ///
    /// An event may only be given an ordering key when no row that an event of another ordering key reads or writes
    /// depends on it; numbers that both only add to do not. [`stream`] fits where every row is made of
    /// one aggregate's events.
    fn ordering_key(&self, event: &RecordedEvent) -> Option<String>;

    /// Applies events of its aggregates, in order of position, within the caller's transaction.
    ///
    /// The rows must not depend on where one batch ends and the next begins, nor on the clock.
    ///
    /// # Errors
    /// [`ApplyError`]; the caller rolls back.
    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>>;
}

/// A read model as a row of the table of all of them ([`ALL`](crate::ALL)).
#[derive(Debug)]
pub struct ReadModel {
    /// See [`Projection::name`].
    pub name: &'static str,
    /// See [`Projection::version`].
    pub version: i32,
    /// See [`Projection::aggregates`].
    pub aggregates: &'static [&'static str],
    /// See [`Projection::tables`].
    pub tables: &'static [&'static str],
    /// See [`Projection::ordering_key`].
    pub ordering_key: fn(&RecordedEvent) -> Option<String>,
    /// See [`Projection::apply`].
    pub apply: Apply,
}

/// What applies events to rows.
pub type Apply = for<'a> fn(
    &'a mut PgConnection,
    &'a [Arc<RecordedEvent>],
) -> BoxFuture<'a, Result<(), ApplyError>>;

impl Projection for ReadModel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn aggregates(&self) -> &'static [&'static str] {
        self.aggregates
    }

    fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
        (self.ordering_key)(event)
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        (self.apply)(conn, events)
    }
}

/// Why events were not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// One event can never be applied as it stands: it is damaged, of a newer build, or
    /// contradicts the events before it.
    #[error("event {position} cannot be applied: {reason}")]
    Event {
        /// The event.
        position: Position,
        /// Why; holds no personal data.
        reason: String,
    },
    /// The database refused or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The projection's code panicked.
    #[error("the projection's code panicked")]
    Panicked,
}

impl ApplyError {
    /// The event contradicts what came before it in its stream.
    pub(crate) fn contradiction(event: &RecordedEvent, what: &str) -> Self {
        Self::Event {
            position: event.position,
            reason: format!("{} of a {} {what}", event.event_type, event.aggregate_type),
        }
    }

    /// The error itself when trying again cannot help.
    ///
    /// # Errors
    /// What may pass: connections, locks, restarts, a migration that is still missing.
    pub(crate) fn lasting(self) -> Result<Self, sqlx::Error> {
        match self {
            Self::Database(passing) if !is_data_error(&passing) => Err(passing),
            lasting => Ok(lasting),
        }
    }

    /// The reason as it may be stored and shown: a database's message can quote a row, so only
    /// its code and the constraint's name are kept.
    pub(crate) fn public_reason(&self) -> String {
        match self {
            Self::Event { reason, .. } => reason.clone(),
            Self::Database(sqlx::Error::Database(error)) => format!(
                "the database refused the rows: SQLSTATE {}, constraint {}",
                error.code().unwrap_or_default(),
                error.constraint().unwrap_or("none")
            ),
            Self::Panicked => "the projection's code panicked".to_owned(),
            Self::Database(_) => "the rows could not be encoded or decoded".to_owned(),
        }
    }
}

/// Whether the rows themselves are at fault, so that trying again cannot help. Everything else
/// (connections, locks, restarts, a migration that is still missing) may pass.
fn is_data_error(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            // Data exceptions, constraints, and values too big for an index or a row.
            let code = error.code().unwrap_or_default();
            ["22", "23", "54"].iter().any(|class| code.starts_with(class))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// The ordering key of a read model whose every row is made of one aggregate's events.
#[must_use]
pub fn stream(event: &RecordedEvent) -> String {
    format!("{}/{}", event.aggregate_type, event.aggregate_id)
}

/// The event, typed.
pub(crate) fn decode<E: EventTypes>(event: &RecordedEvent) -> Result<E, ApplyError> {
    event.decode().map_err(|error: DecodeError| ApplyError::Event {
        position: event.position,
        reason: error.to_string(),
    })
}

/// The aggregate's id, for streams that are named by a UUID.
pub(crate) fn stream_id<Id: FromStr>(event: &RecordedEvent) -> Result<Id, ApplyError> {
    event.aggregate_id.parse().map_err(|_| ApplyError::Event {
        position: event.position,
        reason: format!("the id of this {} is not a UUID", event.aggregate_type),
    })
}
