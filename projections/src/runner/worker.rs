use super::Options;
use super::batch::{self, Batch, Outcome};
use super::checkpoint::{self, Checkpoint};
use super::renew::{Stale, renew};
use super::retry::retry;
use super::stand::Stand;
use crate::checkpoints::Checkpoints;
use crate::projection::Projection;
use crate::rebuild::RebuildError;
use crate::status::Status;
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError, locks};
use follow::backoff::Backoff;
use follow::dead_letters;
use follow::elections::{Elections, Lease};
use follow::patience::within;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The first pause after a failure, about what a failover of the connection pool takes, and the longest: when
/// the database is back, nobody waits longer than this.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often an idle or parked worker looks at its row: notices a retry and a newer version, and
/// keeps the connection in use, whose silence the server takes for death.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a checkpoint may stay behind a worker that met nothing for its projection: what a reader
/// in another process, who waits for an event that does not concern it, waits at most.
const STORE_INTERVAL: Duration = Duration::from_millis(50);

/// The server ends our session when it hears nothing for this long: a process that hangs or is cut
/// off must not keep its locks on rows. Ten missed heartbeats.
const SESSION_TIMEOUT_MS: u32 = 10_000;

/// The longest that a batch may take whose single event took too long before.
const LONGEST_BATCH: Duration = Duration::from_secs(60);

/// By which part of the most events a batch may grow again with each one that was in time, after one
/// was not.
const GROWS_BY: usize = 16;

/// Keeps one projection up to date.
pub(super) struct Worker {
    projection: &'static dyn Projection,
    connect: PgConnectOptions,
    elections: Option<Elections>,
    checkpoints: Option<Checkpoints>,
    stands_still: Duration,
    most_events: usize,
    /// As many events have been in time, or may be: shrinks when a batch is late, and grows slowly.
    timely_events: usize,
    /// How many events the next batch takes; shrinks around an event that cannot be applied.
    next_events: usize,
    /// How long a batch may take before it is given up with its connection.
    batch_patience: Duration,
    usual_patience: Duration,
    backoff: Backoff,
    /// So that it is said once and not every second.
    said_outdated: bool,
}

/// Why a session on one connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the database did not answer in time")]
    DatabaseTimeout,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the source gave event {found} where {expected} was next")]
    Gap { expected: Position, found: Position },
    /// Somebody else moved the checkpoint, or has been elected, so it is not ours to work any more.
    #[error("another worker has moved the checkpoint, or the journal does not have the events")]
    Overtaken,
    /// The rows are of another history or an older version, and could not be built anew.
    #[error("the rows could not be built anew: {0}")]
    NotRenewed(#[from] Box<RebuildError>),
    /// Nobody goes on before somebody has seen to it, which is the elected worker's.
    #[error("the projection is parked")]
    Parked,
    /// The rows are of another version: those of a newer build, or of an older one whose worker may be at work still.
    #[error("the rows are of version {found}")]
    OtherVersion { found: i32 },
}

impl Worker {
    pub(super) fn new(projection: &'static dyn Projection, options: &Options) -> Self {
        let most_events = options.batch_events.max(1);
        let application = format!("gomall projection {}", projection.name());
        Self {
            projection,
            connect: options.connect.clone().application_name(&application),
            elections: options.elections.clone(),
            checkpoints: options.checkpoints.clone(),
            stands_still: options.stands_still,
            most_events,
            timely_events: most_events,
            next_events: most_events,
            batch_patience: options.batch_patience,
            usual_patience: options.batch_patience,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            said_outdated: false,
        }
    }

    pub(super) async fn run<S: EventSource>(mut self, source: Arc<S>, cancel: CancellationToken) {
        let name = self.projection.name();
        while !cancel.is_cancelled() {
            let Some(lease) = cancel.run_until_cancelled(self.elected()).await else { return };
            let worked = self.session(lease.as_ref(), &source, &cancel).await;
            // Given back before the pause: this process may be the only one in trouble.
            drop(lease);
            let pause = match worked {
                Ok(()) => return,
                Err(Interrupted::Parked) => HEARTBEAT,
                Err(Interrupted::Overtaken) => {
                    tracing::info!(projection.name = name, "another worker has taken over");
                    self.backoff.pause()
                }
                Err(Interrupted::OtherVersion { found }) => {
                    self.say_outdated(found);
                    HEARTBEAT
                }
                Err(error) => {
                    let pause = self.backoff.pause();
                    tracing::warn!(
                        projection.name = name,
                        pause_ms = pause.as_millis(),
                        %error,
                        "a projection was interrupted and will go on"
                    );
                    pause
                }
            };
            cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Waits until this worker may work, with a lease or, where nobody does although there is something to do,
    /// without.
    async fn elected(&self) -> Option<Lease> {
        let Some(elections) = &self.elections else { return None };
        tokio::select! {
            lease = elections.elected(locks::PROJECTION, self.projection.name()) => Some(lease),
            () = self.stands_still() => None,
        }
    }

    /// Returns when the rows have stood still for too long; never where nobody knows how far they are.
    async fn stands_still(&self) {
        match &self.checkpoints {
            Some(known) => known.stands_still(self.projection.name(), self.stands_still).await,
            None => std::future::pending().await,
        }
    }

    /// Works on one connection until it breaks, the lease is lost, or `cancel`.
    async fn session<S: EventSource>(
        &mut self,
        lease: Option<&Lease>,
        source: &Arc<S>,
        cancel: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut conn = bounded(open(&self.connect)).await?;
        bounded(checkpoint::register(&mut conn, self.projection)).await?;
        self.work(&mut conn, lease, source, cancel).await?;
        bounded(conn.close()).await
    }

    /// Sees to it that the rows are of this database's journal, and goes on from there.
    async fn work<S: EventSource>(
        &mut self,
        conn: &mut PgConnection,
        lease: Option<&Lease>,
        source: &Arc<S>,
        cancel: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let row = match self.load(conn).await {
            // Of an older build, and no worker of it is elected any more.
            Err(Interrupted::OtherVersion { found })
                if found < self.projection.version()
                    && (lease.is_some() || self.elections.is_none()) =>
            {
                if !self.renew(conn, Stale::Version(found), source, cancel).await? {
                    return Ok(());
                }
                self.load(conn).await?
            }
            row => row?,
        };
        let cursor = row.cursor();
        if lease.is_none() && self.elections.is_some() {
            if row.status == Status::Parked {
                return Err(Interrupted::Parked);
            }
            tracing::warn!(
                projection.name = self.projection.name(),
                projection.position = cursor.position.get(),
                "rows have stood still; this worker goes on without having been elected"
            );
        }
        if !bounded(checkpoint::is_in_journal(conn, cursor)).await? {
            let stale = Stale::History(cursor.position);
            if !self.renew(conn, stale, source, cancel).await? {
                return Ok(());
            }
        }
        bounded(dead_letters::ask_for_newer(conn, self.projection.name())).await?;
        self.follow(conn, lease, source.as_ref(), cancel).await
    }

    /// Builds the rows anew, and says whether there was time for it. Takes another connection: the server may have
    /// ended a session that was silent for so long.
    async fn renew<S: EventSource>(
        &self,
        conn: &mut PgConnection,
        stale: Stale,
        source: &Arc<S>,
        cancel: &CancellationToken,
    ) -> Result<bool, Interrupted> {
        let renewed = renew(self.projection, &self.connect, stale, source);
        let Some(renewed) = cancel.run_until_cancelled(renewed).await else { return Ok(false) };
        renewed?;
        *conn = bounded(open(&self.connect)).await?;
        Ok(true)
    }

    async fn follow<S: EventSource>(
        &mut self,
        conn: &mut PgConnection,
        lease: Option<&Lease>,
        source: &S,
        cancel: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut stand = Stand::at(self.load(conn).await?);
        while !cancel.is_cancelled() {
            if lease.is_some_and(Lease::is_lost) {
                return Err(Interrupted::Overtaken);
            }
            if stand.loaded_at.elapsed() >= HEARTBEAT {
                stand.reload(self.load(conn).await?);
            }
            if stand.row.retry {
                let tried = retry(self.projection, conn, source);
                timeout(LONGEST_BATCH, tried).await.map_err(|_| Interrupted::DatabaseTimeout)??;
                stand.reload(self.load(conn).await?);
                continue;
            }
            if stand.row.status == Status::Parked {
                cancel.run_until_cancelled(tokio::time::sleep(HEARTBEAT)).await;
                continue;
            }
            if stand.unstored_for() >= STORE_INTERVAL {
                self.store(conn, &mut stand).await?;
            }
            let events = source.read_after(stand.seen, self.next_events).await?;
            if events.is_empty() {
                let patience = if stand.is_stored() {
                    HEARTBEAT
                } else {
                    STORE_INTERVAL.saturating_sub(stand.unstored_for())
                };
                let more = timeout(patience, source.wait_after(stand.seen.position));
                let _ = cancel.run_until_cancelled(more).await;
                continue;
            }
            check_consecutive(stand.seen.position, &events)?;
            self.take(conn, &mut stand, &events).await?;
        }
        self.store(conn, &mut stand).await
    }

    /// Applies what concerns the projection, and passes over what does not.
    async fn take(
        &mut self,
        conn: &mut PgConnection,
        stand: &mut Stand,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), Interrupted> {
        let aggregates = self.projection.aggregates();
        let relevant: Vec<_> = events
            .iter()
            .filter(|event| aggregates.contains(&event.aggregate_type.as_str()))
            .cloned()
            .collect();
        if relevant.is_empty() {
            let end = events.last().map_or(stand.seen, |event| Cursor::behind(event));
            stand.pass(end);
            self.done(end.position);
            return Ok(());
        }
        let batch = Batch { events, relevant, checkpoint: &stand.row };
        let applied = timeout(self.batch_patience, batch::apply(self.projection, conn, &batch));
        let Ok(applied) = applied.await else {
            self.was_late(events.len());
            return Err(Interrupted::DatabaseTimeout);
        };
        match applied? {
            Outcome::Applied { row } => {
                let position = row.position;
                stand.store(row);
                self.done(position);
            }
            Outcome::Split { events } => self.next_events = events.max(1),
            Outcome::Parked { row } => {
                stand.store(row);
                self.next_events = self.most_events;
            }
            Outcome::Lost => self.reload_after_loss(conn, stand).await?,
        }
        Ok(())
    }

    /// Everything up to `position` is in the rows.
    fn done(&mut self, position: Position) {
        self.backoff.reset();
        self.batch_patience = self.usual_patience;
        self.next_events = (self.next_events * 2).min(self.timely_events);
        let grown = self.timely_events + self.most_events.div_ceil(GROWS_BY);
        self.timely_events = grown.min(self.most_events);
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.reached(self.projection.name(), position);
        }
    }

    /// A batch of so many events took too long, or its connection is dead, which nobody can tell: the
    /// next one is smaller, on another connection, and a single event is waited for longer.
    fn was_late(&mut self, events: usize) {
        if events == 1 {
            self.batch_patience = LONGEST_BATCH.min(self.batch_patience * 2);
        }
        self.timely_events = (events / 2).max(1);
        self.next_events = self.timely_events;
    }

    /// Moves the checkpoint to where this worker has got without it.
    async fn store(&self, conn: &mut PgConnection, stand: &mut Stand) -> Result<(), Interrupted> {
        if stand.is_stored() {
            return Ok(());
        }
        let advanced = checkpoint::advance(conn, self.projection, &stand.row, stand.seen);
        match bounded(advanced).await? {
            Some((_, ctid)) => {
                stand.row.ctid = ctid;
                stand.row.set(stand.seen);
            }
            None => self.reload_after_loss(conn, stand).await?,
        }
        Ok(())
    }

    async fn reload_after_loss(
        &self,
        conn: &mut PgConnection,
        stand: &mut Stand,
    ) -> Result<(), Interrupted> {
        if self.elections.is_some() {
            return Err(Interrupted::Overtaken);
        }
        stand.reload(self.load(conn).await?);
        Ok(())
    }

    async fn load(&self, conn: &mut PgConnection) -> Result<Checkpoint, Interrupted> {
        let row = bounded(checkpoint::load(conn, self.projection.name())).await?;
        if row.version == self.projection.version() {
            Ok(row)
        } else {
            Err(Interrupted::OtherVersion { found: row.version })
        }
    }

    fn say_outdated(&mut self, found: i32) {
        if !std::mem::replace(&mut self.said_outdated, true) {
            tracing::warn!(
                projection.name = self.projection.name(),
                projection.version = self.projection.version(),
                rows.version = found,
                "a projection rests: its rows are of another version"
            );
        }
    }
}

/// No event may ever be missed, so a source that skips one is not believed.
fn check_consecutive(from: Position, events: &[Arc<RecordedEvent>]) -> Result<(), Interrupted> {
    for (expected, event) in from.following().zip(events) {
        if event.position != expected {
            return Err(Interrupted::Gap { expected, found: event.position });
        }
    }
    Ok(())
}

async fn open(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut conn = PgConnection::connect_with(connect).await?;
    // Compiling a plan costs more than any of these statements. idle_session_timeout is known
    // since PostgreSQL 14.
    sqlx::query(
        "select set_config('synchronous_commit', 'off', false), \
                set_config('jit', 'off', false), \
                set_config('idle_in_transaction_session_timeout', $1, false), \
                case when current_setting('server_version_num')::int >= 140000 \
                  then set_config('idle_session_timeout', $1, false) end",
    )
    .bind(SESSION_TIMEOUT_MS.to_string())
    .execute(&mut conn)
    .await?;
    Ok(conn)
}

async fn bounded<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Interrupted> {
    Ok(within(asked).await?)
}
