use domain::Position;
use follow::position;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The pause between two looks while somebody waits: what a reader waits for is applied within a
/// few milliseconds, and this bounds what is added to that by a worker in another process.
const WAITED_POLL: Duration = Duration::from_millis(10);

/// The pause while nobody waits: keeps positions fresh enough that most reads need not wait.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// The least pause between two looks, however many ask for one: bounds what waiting costs.
const LEAST_PAUSE: Duration = Duration::from_millis(2);

/// So many times as long as a look took is the pause after it, at least. Looks take long when dead rows
/// pile up, because somebody reads an old snapshot for hours.
const PAUSE_PER_LOOK: u32 = 9;

/// The pause after the database could not be asked.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long a session is asked that is told to only read.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// The longest that one look may take before the connection counts as dead.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a checkpoint may be seen before what a worker of this process reported: it stores a moment
/// later. After that the database has gone back, and its word counts.
const UNSTORED_FOR: Duration = Duration::from_secs(1);

/// A projection did not get there in time; nothing is lost, it may be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the projection {projection} is at position {reached}, {wanted} was asked for")]
pub struct Behind {
    /// The projection.
    pub projection: String,
    /// The position that was asked for.
    pub wanted: Position,
    /// How far it is, as last seen; 0 when it was never seen.
    pub reached: Position,
}

/// How far every projection and every process manager is, as known in this process: one poller for everybody who waits, and
/// at once whatever the workers of this process report. Cheap to clone.
///
/// Once a position is reported, a query that starts afterwards on the same database sees its rows.
#[derive(Clone)]
pub struct Checkpoints(Arc<Shared>);

struct Shared {
    positions: watch::Sender<BTreeMap<String, Position>>,
    /// The journal's last position; none while the database does not say.
    journal_head: watch::Sender<Option<Position>>,
    /// New sessions are told to only read, or the server is a standby.
    only_reads: AtomicBool,
    waiting: AtomicUsize,
    look_now: Notify,
}

impl Checkpoints {
    /// Starts the poller on a connection of its own, so that a pool that is used up delays
    /// nobody's wait; it ends with `cancel`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(connect: PgConnectOptions, cancel: CancellationToken) -> Self {
        let checkpoints = Self::unread();
        let poller = checkpoints.clone();
        tokio::spawn(async move { poller.poll(connect, cancel).await });
        checkpoints
    }

    /// Nothing is known until somebody [polls](Self::poll).
    #[must_use]
    pub fn unread() -> Self {
        Self(Arc::new(Shared {
            positions: watch::Sender::new(BTreeMap::new()),
            journal_head: watch::Sender::new(None),
            only_reads: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            look_now: Notify::new(),
        }))
    }

    /// Reads the checkpoints on a connection of its own until `cancel`. Abandoning it is harmless: the
    /// connection goes with it.
    pub async fn poll(&self, connect: PgConnectOptions, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.poll_for_ever(connect)).await;
    }

    /// Returns as soon as the projection has reached the position.
    ///
    /// # Errors
    /// [`Behind`] when it has not within `timeout`.
    pub async fn wait_for(
        &self,
        projection: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<(), Behind> {
        let reached = |positions: &BTreeMap<String, Position>| {
            positions.get(projection).copied().unwrap_or_default()
        };
        if reached(&self.0.positions.borrow()) >= position {
            return Ok(());
        }
        let _waiting = Waiting::enter(&self.0);
        let mut positions = self.0.positions.subscribe();
        let arrived = positions.wait_for(|positions| reached(positions) >= position);
        match tokio::time::timeout(timeout, arrived).await {
            Ok(Ok(_)) => Ok(()),
            // The sender lives as long as `self`, so what ended is the time.
            Ok(Err(_)) | Err(_) => Err(Behind {
                projection: projection.to_owned(),
                wanted: position,
                reached: reached(&self.0.positions.borrow()),
            }),
        }
    }

    /// All positions as last seen, by projection.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<String, Position> {
        self.0.positions.borrow().clone()
    }

    /// The journal's last position as the database has it, seen together with the checkpoints; none
    /// while the database does not say.
    #[must_use]
    pub fn journal_head(&self) -> watch::Receiver<Option<Position>> {
        self.0.journal_head.subscribe()
    }

    /// Returns when a projection has stood behind the journal's head for so long without a step.
    pub async fn stands_still(&self, projection: &str, for_long: Duration) {
        let (mut stood, mut since) = (Position::START, Instant::now());
        loop {
            let position = self.0.positions.borrow().get(projection).copied().unwrap_or_default();
            let is_behind = self.0.journal_head.borrow().is_some_and(|head| position < head);
            if !is_behind || position != stood {
                (stood, since) = (position, Instant::now());
            } else if since.elapsed() >= for_long {
                return;
            }
            tokio::time::sleep(IDLE_POLL).await;
        }
    }

    /// Whether the database takes no writes, as seen last by a session of this one's.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.0.only_reads.load(Ordering::Relaxed)
    }

    /// Looks at once: somebody heard that a projection elsewhere has moved.
    pub fn nudge(&self) {
        self.0.look_now.notify_one();
    }

    /// A worker of this process has committed this position.
    pub(crate) fn reached(&self, projection: &str, position: Position) {
        self.0.positions.send_if_modified(|positions| advance(positions, projection, position));
    }

    async fn poll_for_ever(&self, connect: PgConnectOptions) {
        let connect = connect.application_name("gomall checkpoints");
        loop {
            let looked = async {
                let mut conn = bounded(PgConnection::connect_with(&connect)).await?;
                // A crash of the database may have taken commits that were reported but not yet
                // flushed, so what was known before a reconnection no longer counts.
                let fresh = bounded(look(&mut conn)).await?;
                self.0.positions.send_replace(fresh.positions.into_iter().collect());
                self.0.journal_head.send_replace(Some(fresh.head));
                self.0.only_reads.store(fresh.only_reads, Ordering::Relaxed);
                let opened = Instant::now();
                let mut unstored = BTreeMap::new();
                let mut took = Duration::ZERO;
                loop {
                    self.pause(took).await;
                    let begun = Instant::now();
                    let seen = bounded(look(&mut conn)).await?;
                    took = begun.elapsed();
                    self.0.only_reads.store(seen.only_reads, Ordering::Relaxed);
                    if seen.only_reads && opened.elapsed() >= REOPEN_AFTER {
                        // The setting came with the session, and may be another one for the next.
                        return Ok(());
                    }
                    self.0
                        .journal_head
                        .send_if_modified(|head| head.replace(seen.head) != Some(seen.head));
                    let now = Instant::now();
                    self.0.positions.send_if_modified(|positions| {
                        // Not replaced: a local worker may have reported a later commit meanwhile.
                        seen.positions.iter().fold(false, |changed, (name, position)| {
                            follow(positions, &mut unstored, name, *position, now) || changed
                        })
                    });
                }
            };
            let outcome: Result<(), sqlx::Error> = looked.await;
            if outcome.is_ok() {
                continue;
            }
            if let Err(error) = outcome {
                warn!(%error, "the projections' checkpoints could not be read");
                self.0.positions.send_replace(BTreeMap::new());
                self.0.journal_head.send_replace(None);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn pause(&self, took: Duration) {
        tokio::time::sleep(LEAST_PAUSE.max(took * PAUSE_PER_LOOK)).await;
        let waited = self.0.waiting.load(Ordering::Acquire) > 0;
        let pause = if waited { WAITED_POLL } else { IDLE_POLL };
        // Either outcome means "look now".
        let _ = tokio::time::timeout(pause, self.0.look_now.notified()).await;
    }
}

/// Counts somebody in who waits, and out again however the wait ends.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        shared.look_now.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What one look sees, all of one moment.
struct Look {
    head: Position,
    only_reads: bool,
    positions: Vec<(String, Position)>,
}

async fn look(conn: &mut PgConnection) -> Result<Look, sqlx::Error> {
    let rows: Vec<(Option<String>, i64, bool)> = sqlx::query_as(
        "select null, coalesce((select position from events order by position desc limit 1), 0), \
                pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on' \
         union all select name, position, false from projections \
         union all select name, position, false from process_checkpoints",
    )
    .fetch_all(conn)
    .await?;
    let mut look = Look { head: Position::START, only_reads: false, positions: vec![] };
    for (projection, position, only_reads) in rows {
        let position = position::read(position)?;
        match projection {
            Some(projection) => look.positions.push((projection, position)),
            None => (look.head, look.only_reads) = (position, only_reads),
        }
    }
    Ok(look)
}

/// What is late is given up, with its connection.
async fn bounded<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(LOOK_TIMEOUT, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// What was reported and is not in the database yet: up to where, and since when.
type Unstored = BTreeMap<String, (Position, Instant)>;

/// Takes in what the database says, which may be a little behind what a worker has reported.
fn follow(
    positions: &mut BTreeMap<String, Position>,
    unstored: &mut Unstored,
    projection: &str,
    seen: Position,
    now: Instant,
) -> bool {
    let known = positions.get(projection).copied().unwrap_or_default();
    let (wanted, since) = unstored.get(projection).copied().unwrap_or((known, now));
    if seen >= wanted {
        unstored.remove(projection);
        return advance(positions, projection, seen);
    }
    if now.duration_since(since) < UNSTORED_FOR {
        unstored.insert(projection.to_owned(), (wanted, since));
        return false;
    }
    unstored.remove(projection);
    positions.insert(projection.to_owned(), seen);
    true
}

fn advance(
    positions: &mut BTreeMap<String, Position>,
    projection: &str,
    position: Position,
) -> bool {
    match positions.get_mut(projection) {
        Some(known) if *known >= position => false,
        Some(known) => {
            *known = position;
            true
        }
        None => {
            positions.insert(projection.to_owned(), position);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_goes_back_when_the_database_insists() {
        let mut positions = BTreeMap::from([("orders".to_owned(), Position::new(128))]);
        let (mut unstored, began) = (BTreeMap::new(), Instant::now());
        let mut look = |seen, reported, after_ms| {
            let now = began + Duration::from_millis(after_ms);
            if let Some(reported) = reported {
                advance(&mut positions, "orders", Position::new(reported));
            }
            follow(&mut positions, &mut unstored, "orders", Position::new(seen), now);
            positions["orders"].get()
        };
        assert_eq!(look(120, None, 0), 128, "the worker stores it in a moment");
        assert_eq!(look(127, Some(140), 900), 140);
        assert_eq!(look(129, None, 1_100), 140, "it is on its way");
        assert_eq!(look(129, None, 1_200), 140);
        assert_eq!(look(129, None, 2_100), 140);
        assert_eq!(look(120, None, 2_200), 120, "it never comes");
        assert_eq!(look(121, None, 2_300), 121);
    }
}
