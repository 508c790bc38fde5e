use super::Options;
use super::backoff::Backoff;
use super::checkpoint::{self, Checkpoint};
use super::retry::retry;
use crate::checkpoints::Checkpoints;
use crate::lanes::{self, Buried};
use crate::projection::{ApplyError, Projection};
use crate::status::Status;
use domain::{EventSource, RecordedEvent, SourceError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How often a worker that is not the leader tries to become it: half of the second within which
/// a dead leader is to be replaced.
const LEADER_POLL: Duration = Duration::from_millis(500);

/// How often an idle or parked worker looks at its row: notices a retry and a newer version, and
/// keeps the connection in use, whose silence the server takes for death.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The server ends our session when it hears nothing for this long: a process that hangs or is cut
/// off must not keep the lock. Ten missed heartbeats.
const SESSION_TIMEOUT_MS: u32 = 10_000;

/// The longest that anything we ask of the database may take, a whole batch included (usually
/// milliseconds), before the connection counts as dead.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(60);

/// Keeps one projection up to date.
pub(super) struct Worker {
    projection: &'static dyn Projection,
    connect: PgConnectOptions,
    elect: bool,
    checkpoints: Option<Checkpoints>,
    most_events: usize,
    /// How many events the next batch takes; shrinks around an event that cannot be applied.
    next_events: usize,
    backoff: Backoff,
    /// So that it is said once and not every second.
    said_outdated: bool,
}

/// Why a session on one connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the database did not answer within {} seconds", DATABASE_TIMEOUT.as_secs())]
    DatabaseTimeout,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the source gave event {found} where {expected} was next")]
    Gap { expected: u64, found: u64 },
    /// Somebody else moved the checkpoint, so we are not the leader any more.
    #[error("another worker has moved the checkpoint")]
    Overtaken,
    /// The rows are of another version: they belong to another build, or wait for a rebuild.
    #[error("the rows are of version {found}")]
    OtherVersion { found: i32 },
}

/// What became of a batch.
enum Outcome {
    /// Everything up to here is in the rows.
    Applied { position: u64 },
    /// The checkpoint was not where we believed.
    Lost,
    /// Nothing was applied; take this many events next.
    Split { events: usize },
    /// The first event cannot be applied, and nothing after it may be.
    Parked,
}

impl Worker {
    pub(super) fn new(projection: &'static dyn Projection, options: &Options) -> Self {
        let most_events = options.batch_events.max(1);
        let application = format!("gomall projection {}", projection.name());
        Self {
            projection,
            connect: options.connect.clone().application_name(&application),
            elect: options.elect,
            checkpoints: options.checkpoints.clone(),
            most_events,
            next_events: most_events,
            backoff: Backoff::default(),
            said_outdated: false,
        }
    }

    pub(super) async fn run<S: EventSource>(mut self, source: Arc<S>, cancel: CancellationToken) {
        let name = self.projection.name();
        while !cancel.is_cancelled() {
            let pause = match self.session(source.as_ref(), &cancel).await {
                Ok(()) => return,
                Err(Interrupted::Overtaken) => {
                    tracing::info!(projection.name = name, "another worker has taken over");
                    self.backoff.next_pause()
                }
                Err(Interrupted::OtherVersion { found }) => {
                    self.say_outdated(found);
                    HEARTBEAT
                }
                Err(error) => {
                    let pause = self.backoff.next_pause();
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

    /// Works on one connection until it breaks or `cancel`.
    async fn session<S: EventSource>(
        &mut self,
        source: &S,
        cancel: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut conn = bounded(open(&self.connect)).await?;
        bounded(checkpoint::register(&mut conn, self.projection)).await?;
        let ended = match self.become_leader(&mut conn, cancel).await {
            Ok(true) => self.follow(&mut conn, source, cancel).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if ended.is_ok() {
            // Gives the lock back before we return, so that the next leader need not wait.
            bounded(conn.close()).await?;
        }
        ended
    }

    /// Returns true once this worker may work, false when it was cancelled before.
    async fn become_leader(
        &self,
        conn: &mut PgConnection,
        cancel: &CancellationToken,
    ) -> Result<bool, Interrupted> {
        loop {
            self.load(conn).await?;
            if cancel.is_cancelled() {
                return Ok(false);
            }
            if !self.elect || bounded(checkpoint::try_lead(conn, self.projection.name())).await? {
                return Ok(true);
            }
            cancel.run_until_cancelled(tokio::time::sleep(LEADER_POLL)).await;
        }
    }

    async fn follow<S: EventSource>(
        &mut self,
        conn: &mut PgConnection,
        source: &S,
        cancel: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let mut row = self.load(conn).await?;
        let mut loaded_at = Instant::now();
        while !cancel.is_cancelled() {
            if loaded_at.elapsed() >= HEARTBEAT {
                row = self.load(conn).await?;
                loaded_at = Instant::now();
            }
            if row.retry {
                let tried = retry(self.projection, conn, source);
                timeout(DATABASE_TIMEOUT, tried)
                    .await
                    .map_err(|_| Interrupted::DatabaseTimeout)??;
                row = self.load(conn).await?;
                continue;
            }
            if row.status == Status::Parked {
                cancel.run_until_cancelled(tokio::time::sleep(HEARTBEAT)).await;
                continue;
            }
            let events = source.read_after(row.position, self.next_events).await?;
            if events.is_empty() {
                let more = timeout(HEARTBEAT, source.wait_after(row.position));
                let _ = cancel.run_until_cancelled(more).await;
                continue;
            }
            check_consecutive(row.position, &events)?;
            let batch = apply_batch(self.projection, conn, row.position, &events);
            match timeout(DATABASE_TIMEOUT, batch)
                .await
                .map_err(|_| Interrupted::DatabaseTimeout)??
            {
                Outcome::Applied { position } => {
                    row.position = position;
                    self.backoff.reset();
                    self.next_events = (self.next_events * 2).min(self.most_events);
                    if let Some(checkpoints) = &self.checkpoints {
                        checkpoints.reached(self.projection.name(), position);
                    }
                }
                Outcome::Split { events } => self.next_events = events.max(1),
                Outcome::Parked => {
                    row.status = Status::Parked;
                    self.next_events = self.most_events;
                }
                Outcome::Lost if self.elect => return Err(Interrupted::Overtaken),
                Outcome::Lost => row = self.load(conn).await?,
            }
        }
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

/// Applies the events after `from` and moves the checkpoint, both or neither.
async fn apply_batch(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    from: u64,
    events: &[Arc<RecordedEvent>],
) -> Result<Outcome, Interrupted> {
    let position = from + events.len() as u64;
    let relevant: Vec<Arc<RecordedEvent>> = events
        .iter()
        .filter(|event| projection.aggregates().contains(&event.aggregate_type.as_str()))
        .cloned()
        .collect();
    if relevant.is_empty() {
        let moved = checkpoint::advance(conn, projection, from, position).await?;
        return Ok(moved.map_or(Outcome::Lost, |_| Outcome::Applied { position }));
    }

    let mut transaction = conn.begin().await?;
    let Some(status) = checkpoint::advance(&mut transaction, projection, from, position).await?
    else {
        transaction.rollback().await?;
        return Ok(Outcome::Lost);
    };
    let some_parked = status == Status::PartlyParked;
    let error = match lanes::apply(projection, &mut transaction, &relevant, some_parked).await {
        Ok(()) => match transaction.commit().await {
            Ok(()) => return Ok(Outcome::Applied { position }),
            // A deferred constraint speaks up only here.
            Err(error) => ApplyError::Database(error),
        },
        Err(error) => {
            transaction.rollback().await?;
            error
        }
    };
    blame(projection, conn, from, events, &relevant, &error.lasting()?).await
}

/// Finds the event that cannot be applied: it is a dead letter when it is the first one, else this
/// says how many events to take next so that everything before it is applied.
async fn blame(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    from: u64,
    events: &[Arc<RecordedEvent>],
    relevant: &[Arc<RecordedEvent>],
    error: &ApplyError,
) -> Result<Outcome, Interrupted> {
    let culprit = match (error, relevant) {
        (_, [only]) => Some(only),
        (ApplyError::Event { position, .. }, _) => {
            relevant.iter().find(|event| event.position == *position)
        }
        _ => None,
    };
    let Some(culprit) = culprit else {
        return Ok(Outcome::Split { events: events.len() / 2 });
    };
    match usize::try_from(culprit.position - from - 1).unwrap_or(0) {
        0 => bury(projection, conn, culprit, &lanes::reason_of(error)).await,
        before => Ok(Outcome::Split { events: before }),
    }
}

/// Makes the event after the checkpoint a dead letter, and parks what it has to.
async fn bury(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    event: &RecordedEvent,
    reason: &str,
) -> Result<Outcome, Interrupted> {
    let (from, position) = (event.position - 1, event.position);
    let mut transaction = conn.begin().await?;
    let mut row = checkpoint::lock(&mut transaction, projection.name()).await?;
    if (row.version, row.position) != (projection.version(), from) || row.status == Status::Parked {
        transaction.rollback().await?;
        return Ok(Outcome::Lost);
    }
    let outcome = match lanes::bury(projection, &mut transaction, event, reason).await? {
        Buried::LeftOut | Buried::LaneParked => {
            row.position = position;
            Outcome::Applied { position }
        }
        Buried::Blocks => {
            lanes::keep(projection, &mut transaction, event, None, "failed", reason).await?;
            row.status = Status::Parked;
            Outcome::Parked
        }
    };
    checkpoint::settle(&mut transaction, projection, row).await?;
    transaction.commit().await?;
    tracing::error!(
        projection.name = projection.name(),
        event.position = position,
        lane = projection.lane(event).filter(|_| row.status != Status::Parked),
        reason,
        "an event cannot be applied: it is a dead letter, and its lane or all of the projection is \
         parked"
    );
    Ok(outcome)
}

/// No event may ever be missed, so a source that skips one is not believed.
fn check_consecutive(from: u64, events: &[Arc<RecordedEvent>]) -> Result<(), Interrupted> {
    for (expected, event) in (from + 1..).zip(events) {
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
    match timeout(DATABASE_TIMEOUT, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Interrupted::DatabaseTimeout),
    }
}
