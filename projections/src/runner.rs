//! Runs every projection: reads events after its checkpoint, applies them in batches, moves the
//! checkpoint in the same transaction.
//!
//! * Each projection has a worker task with a connection of its own. No transaction ever runs in a
//!   future that somebody else may drop, and no pool ever gets a connection back in mid-transaction.
//! * Of all processes one works on a projection: whoever holds its advisory lock. The lock only
//!   saves work; what keeps rows exact is the compare-and-set on the checkpoint, so two workers on
//!   one projection do no harm.
//! * A holder that hangs loses its connection, and so the lock, to the server's idle time-outs.
//! * Events that do not concern a projection are passed over in memory; its row follows at the next
//!   event that does, or a moment later.
//! * Commits do not wait for the disk: a crash of the server takes rows and checkpoint back
//!   together, and the events are applied again.

pub(crate) mod backoff;
mod batch;
pub(crate) mod checkpoint;
mod heal;
mod retry;
mod worker;

use crate::checkpoints::Checkpoints;
use crate::projection::Projection;
use domain::EventSource;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::Worker;

/// The most events in one transaction: enough to make its fixed costs vanish, few enough that
/// readers see progress and a bisection ends after ten steps.
pub const BATCH_EVENTS: usize = 1_000;

/// How long a batch may take before it is given up, with its connection, and a smaller one is tried.
/// Usually milliseconds; what a connection that died without a word costs the rows.
pub const BATCH_PATIENCE: Duration = Duration::from_secs(10);

/// What to run, and where.
#[derive(Clone)]
pub struct Options {
    /// The database that holds the read models; every worker opens a connection of its own.
    pub connect: PgConnectOptions,
    /// Which projections; usually [`ALL`](crate::ALL).
    pub projections: &'static [&'static dyn Projection],
    /// The most events in one transaction, at least 1.
    pub batch_events: usize,
    /// How long one may take before a smaller one is tried; usually [`BATCH_PATIENCE`].
    pub batch_patience: Duration,
    /// Let one worker at a time, among all processes, work on a projection. Without it they race,
    /// which is only slower.
    pub elect: bool,
    /// Told of every checkpoint at once, so that readers in this process need not wait for a poll.
    pub checkpoints: Option<Checkpoints>,
}

impl Options {
    /// All projections in the database of `pool`.
    #[must_use]
    pub fn new(pool: &PgPool, checkpoints: Checkpoints) -> Self {
        Self {
            connect: pool.connect_options().as_ref().clone(),
            projections: crate::ALL,
            batch_events: BATCH_EVENTS,
            batch_patience: BATCH_PATIENCE,
            elect: true,
            checkpoints: Some(checkpoints),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection's options hold a password.
        let names: Vec<_> = self.projections.iter().map(|projection| projection.name()).collect();
        f.debug_struct("Options")
            .field("projections", &names)
            .field("batch_events", &self.batch_events)
            .field("elect", &self.elect)
            .finish_non_exhaustive()
    }
}

/// Keeps the projections up to date until `cancel`; then finishes the batches that are under way
/// and returns. Errors of the database or the source are logged and tried again with pauses, for
/// ever; they never end it.
///
/// Dropping the future ends the workers at once, which loses nothing either.
pub async fn run<S: EventSource>(options: Options, source: Arc<S>, cancel: CancellationToken) {
    let mut workers = JoinSet::new();
    for projection in options.projections {
        let (options, source, cancel) = (options.clone(), source.clone(), cancel.clone());
        workers.spawn(async move { run_one(*projection, &options, source, cancel).await });
    }
    while workers.join_next().await.is_some() {}
}

/// The same for one of them.
pub async fn run_one<S: EventSource>(
    projection: &'static dyn Projection,
    options: &Options,
    source: Arc<S>,
    cancel: CancellationToken,
) {
    Worker::new(projection, options).run(source, cancel).await;
}
