//! Runs every projection: reads events after its checkpoint, applies them in batches, moves the
//! checkpoint in the same transaction.
//!
//! * Each projection has a worker task with a connection of its own. No transaction ever runs in a
//!   future that somebody else may drop, and no pool ever gets a connection back in mid-transaction.
//! * Of all processes one works on a projection: whoever was elected ([`follow::elections`]), and only that one
//!   has a connection for it. That saves work; what keeps rows exact is the compare-and-set on the checkpoint,
//!   so two workers on one projection do no harm.
//! * Rows that stand still although the journal goes on are taken over without an election: the server may
//!   be keeping the lock for a session that is frozen.
//! * Rows that an older build made, or of a history that the journal does not have, are built anew by whoever is
//!   elected, while readers go on with the old ones; rows of a newer build are left alone.
//! * Events that do not concern a projection are passed over in memory; its row follows at the next
//!   event that does, or a moment later.
//! * Commits do not wait for the disk: a crash of the server takes rows and checkpoint back
//!   together, and the events are applied again.

mod batch;
pub(crate) mod checkpoint;
mod renew;
mod retry;
mod stand;
mod worker;

use crate::checkpoints::Checkpoints;
use crate::projection::Projection;
use domain::EventSource;
use follow::elections::Elections;
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

/// How long rows may stand still behind a journal that goes on before another worker goes on without having
/// been elected: whoever was may be frozen with its session, and the checkpoint keeps rows exact.
pub const STANDS_STILL: Duration = Duration::from_secs(10);

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
    /// Let one worker at a time, among all processes, work on a projection. Without them they race,
    /// which is only slower.
    pub elections: Option<Elections>,
    /// How long rows may stand still before a worker that was not elected goes on; usually [`STANDS_STILL`].
    pub stands_still: Duration,
    /// Told of every checkpoint at once, so that readers in this process need not wait for a poll.
    pub checkpoints: Option<Checkpoints>,
}

impl Options {
    /// All projections in the database of `pool`.
    #[must_use]
    pub fn new(pool: &PgPool, checkpoints: Checkpoints, elections: Elections) -> Self {
        Self {
            connect: pool.connect_options().as_ref().clone(),
            projections: crate::ALL,
            batch_events: BATCH_EVENTS,
            batch_patience: BATCH_PATIENCE,
            elections: Some(elections),
            stands_still: STANDS_STILL,
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
            .field("elects", &self.elections.is_some())
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
