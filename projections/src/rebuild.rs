//! Builds a projection's rows anew beside the live ones, and swaps.
//!
//! * The tables of the rebuild are clones in a schema of their own. The projection's own code fills
//!   them from the first event on, on a connection whose search path knows no other schema, so that
//!   a table which the projection does not declare cannot be touched by mistake.
//! * Readers and the live worker go on meanwhile. The swap is one short transaction that starts at
//!   the checkpoint's row, the fence of every worker, and never moves the checkpoint back: what a
//!   reader has seen stays there.
//! * A reader never queues behind the swap for long: the swap gives up when it does not get the
//!   tables at once, and tries again.
//! * Whatever ends a rebuild before its commit leaves the live rows untouched; the next one drops
//!   what is left of it.
//! * A query waits for the swap and then finds the new rows, all of them: PostgreSQL takes its
//!   snapshot after its locks. Only a transaction that froze its snapshot before the swap
//!   (`repeatable read`) and meets the table first after it would find it empty; no query of ours
//!   does.

mod fill;
mod swap;
mod tables;

use crate::projection::{ApplyError, Projection};
use crate::runner::checkpoint;
use domain::{Cursor, EventSource, Position, SourceError, locks};
use follow::backoff::Backoff;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use swap::Attempt;
use tables::Schemas;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// The most events in one transaction of a rebuild: nobody waits for its rows, and the longer a
/// batch, the more events fold into one write of a row. Some 10 MB at usual event sizes, of which
/// at most three are in memory.
pub const REBUILD_BATCH_EVENTS: usize = 10_000;

/// Tries to swap, with pauses that grow to five seconds: some six minutes. Somebody who reads the
/// tables for longer than that without a break has to be spoken to.
const SWAP_ATTEMPTS: u32 = 100;
const FIRST_SWAP_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_SWAP_PAUSE: Duration = Duration::from_secs(5);

/// The server ends our session when it hears nothing for this long: a process that hangs must not
/// keep the next rebuild out. Far beyond reading and folding one batch.
const SESSION_TIMEOUT_MS: u32 = 60_000;

/// The longest that one batch, or one short statement, may take before the connection counts as
/// dead.
const STEP_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest that cleaning the filled tables may take; it reads all of them once.
const TIDY_TIMEOUT: Duration = Duration::from_secs(3_600);

/// How long giving the lock back may take; the server does it by itself when we cannot.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How to rebuild, and where.
#[derive(Clone)]
pub struct RebuildOptions {
    /// The database that holds the read models; its user has to own the tables and to be allowed
    /// to create schemas. The rebuild opens one connection.
    pub connect: PgConnectOptions,
    /// The journal's last position, as it grows: what progress is measured by.
    pub head: watch::Receiver<Position>,
    /// The most events in one transaction, at least 1; usually [`REBUILD_BATCH_EVENTS`].
    pub batch_events: usize,
}

impl fmt::Debug for RebuildOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection's options hold a password.
        f.debug_struct("RebuildOptions")
            .field("batch_events", &self.batch_events)
            .finish_non_exhaustive()
    }
}

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It applies events.
    Filling,
    /// It cleans the filled tables and gathers their statistics, so that the first queries after
    /// the swap are planned as well as the last ones before.
    Tidying,
    /// It is about to swap.
    Swapping {
        /// For which time, from 1. More than one means that somebody keeps the live tables locked.
        attempt: u32,
    },
}

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Everything up to this position is in the new rows.
    pub position: Position,
    /// The journal's last position.
    pub head: Position,
    /// Events a second since the start, those included that the projection does not read.
    pub events_per_second: f64,
    /// How long the filling will go on at this rate; none before the first batch.
    pub remaining: Option<Duration>,
}

/// A rebuild that is done: its rows are live, and safe on the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rebuilt {
    /// Everything up to this position was in the new rows when they went live.
    pub position: Position,
    /// Events a second until then, those included that the projection does not read.
    pub events_per_second: f64,
    /// From the start until the old rows were dropped.
    pub took: Duration,
}

/// Why nothing was swapped. The live rows are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// One rebuild of a projection at a time. A rebuild that was cut off may hold the lock until
    /// the server has noticed.
    #[error("another rebuild of {projection} is running")]
    AlreadyRunning {
        /// The projection.
        projection: &'static str,
    },
    /// Something hangs on a table that would stay with the old one. Drop it and make it again
    /// afterwards.
    #[error("{object} hangs on the table {table} and would not come along")]
    Entangled {
        /// The table.
        table: &'static str,
        /// What it is, and its name.
        object: String,
    },
    /// An event cannot be applied, by this build either, and parks the whole projection; it is never
    /// skipped.
    #[error("the rows could not be built: {0}")]
    Apply(#[from] ApplyError),
    /// Somebody keeps the live tables locked, such as a very long query or transaction.
    #[error("the live tables were in use at each of {attempts} attempts to swap")]
    TablesInUse {
        /// How often it was tried.
        attempts: u32,
    },
    /// The source left out an event.
    #[error("the source gave event {found} where {expected} was next")]
    Gap {
        /// The position that was next.
        expected: Position,
        /// The position that came.
        found: Position,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database refused or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The database did not answer in time.
    #[error("the database did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
}

/// Builds the projection's rows anew from the first event on, then swaps them in at a position that
/// is not before the live one. The projection goes on afterwards, also if it was parked or of another
/// version before; its dead letters are then those that this build still cannot apply.
///
/// `progress` is called after every batch and at every change of stage; it must not block.
///
/// Dropping the future ends the rebuild at once: nothing live has changed, unless the swap's commit
/// was under way.
///
/// # Errors
/// [`RebuildError`]; nothing was swapped then, except that the answer to a commit can get lost.
pub async fn rebuild<S: EventSource>(
    projection: &'static dyn Projection,
    options: RebuildOptions,
    source: Arc<S>,
    progress: impl FnMut(Progress) + Send,
) -> Result<Rebuilt, RebuildError> {
    let conn = bounded(STEP_TIMEOUT, open(projection, &options.connect)).await?;
    let mut rebuild = Rebuild {
        projection,
        schemas: Schemas::of(projection),
        conn,
        source,
        head: options.head,
        batch_events: options.batch_events.max(1),
        cursor: Cursor::START,
        started: Instant::now(),
        progress,
    };
    let outcome = rebuild.run().await;
    rebuild.release().await;
    outcome
}

struct Rebuild<S, P> {
    projection: &'static dyn Projection,
    schemas: Schemas,
    /// Holds the advisory lock; goes with the rebuild however that ends.
    conn: PgConnection,
    source: Arc<S>,
    head: watch::Receiver<Position>,
    batch_events: usize,
    /// Everything up to here is in the new rows.
    cursor: Cursor,
    started: Instant,
    progress: P,
}

impl<S: EventSource, P: FnMut(Progress) + Send> Rebuild<S, P> {
    async fn run(&mut self) -> Result<Rebuilt, RebuildError> {
        self.prepare().await?;
        self.fill().await?;
        self.tidy().await?;
        self.swap().await?;
        let (position, events_per_second) = (self.cursor.position, self.events_per_second());
        self.clean_up().await;
        Ok(Rebuilt { position, events_per_second, took: self.started.elapsed() })
    }

    /// Takes the lock and makes empty tables.
    async fn prepare(&mut self) -> Result<(), RebuildError> {
        let projection = self.projection.name();
        let locked = sqlx::query_scalar("select pg_try_advisory_lock($1, hashtext($2))")
            .bind(locks::REBUILD)
            .bind(projection)
            .fetch_one(&mut self.conn);
        if !bounded(STEP_TIMEOUT, locked).await? {
            return Err(RebuildError::AlreadyRunning { projection });
        }
        for table in self.projection.tables() {
            let object = tables::entanglement(&mut self.conn, table);
            if let Some(object) = bounded(STEP_TIMEOUT, object).await? {
                return Err(RebuildError::Entangled { table, object });
            }
        }
        bounded(STEP_TIMEOUT, checkpoint::register(&mut self.conn, self.projection)).await?;
        bounded(STEP_TIMEOUT, self.schemas.drop_leftovers(&mut self.conn)).await?;
        bounded(STEP_TIMEOUT, self.schemas.create(&mut self.conn)).await?;
        self.started = Instant::now();
        Ok(())
    }

    async fn tidy(&mut self) -> Result<(), RebuildError> {
        self.report(Stage::Tidying);
        bounded(TIDY_TIMEOUT, self.schemas.tidy(&mut self.conn)).await
    }

    async fn swap(&mut self) -> Result<(), RebuildError> {
        let mut backoff = Backoff::new(FIRST_SWAP_PAUSE, LONGEST_SWAP_PAUSE);
        for attempt in 1..=SWAP_ATTEMPTS {
            self.fill().await?;
            self.report(Stage::Swapping { attempt });
            match self.try_swap().await? {
                Attempt::Swapped => return Ok(()),
                Attempt::Locked | Attempt::Behind => {
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
        Err(RebuildError::TablesInUse { attempts: SWAP_ATTEMPTS })
    }

    /// Drops the old rows; what fails here the next rebuild does.
    async fn clean_up(&mut self) {
        let dropped = bounded(STEP_TIMEOUT, self.schemas.drop_leftovers(&mut self.conn)).await;
        if let Err(error) = dropped {
            tracing::warn!(
                projection.name = self.projection.name(),
                %error,
                "the rebuilt rows are live, but the old ones were not dropped; the next rebuild \
                 drops them"
            );
        }
    }

    /// Gives the lock back before we return: the server notices a dropped connection a little
    /// later, and the next rebuild would be told that this one is running.
    async fn release(mut self) {
        let released = async {
            sqlx::query("select pg_advisory_unlock_all()").execute(&mut self.conn).await?;
            self.conn.close().await
        };
        // The connection may be the very thing that broke; then the server releases the lock.
        let _ = bounded(RELEASE_TIMEOUT, released).await;
    }

    fn report(&mut self, stage: Stage) {
        let position = self.cursor.position;
        let head = (*self.head.borrow()).max(position);
        let events_per_second = self.events_per_second();
        let seconds = position.lag(head) as f64 / events_per_second;
        let remaining = Duration::try_from_secs_f64(seconds).ok();
        (self.progress)(Progress { stage, position, head, events_per_second, remaining });
    }

    fn events_per_second(&self) -> f64 {
        self.cursor.position.get() as f64 / self.started.elapsed().as_secs_f64().max(f64::EPSILON)
    }
}

async fn open(
    projection: &dyn Projection,
    connect: &PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    let application = format!("gomall rebuild {}", projection.name());
    let mut conn =
        PgConnection::connect_with(&connect.clone().application_name(&application)).await?;
    // Cleaning up takes what it takes, whatever the server allows others, and that there is
    // nothing left to drop is no news. idle_session_timeout is known since PostgreSQL 14.
    sqlx::query(
        "select set_config('synchronous_commit', 'off', false), \
                set_config('jit', 'off', false), \
                set_config('statement_timeout', '0', false), \
                set_config('client_min_messages', 'warning', false), \
                set_config('idle_in_transaction_session_timeout', $1, false), \
                case when current_setting('server_version_num')::int >= 140000 \
                  then set_config('idle_session_timeout', $1, false) end",
    )
    .bind(SESSION_TIMEOUT_MS.to_string())
    .execute(&mut conn)
    .await?;
    Ok(conn)
}

async fn bounded<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, RebuildError> {
    match timeout(limit, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RebuildError::Timeout(limit)),
    }
}
