//! A projection that shows the order of what it was given: the positions of every stream, as they
//! were applied. An event that is doubled, left out or too early stays visible.

use domain::{Position, RecordedEvent};
use futures::future::BoxFuture;
use projections::{ApplyError, Projection};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use testkit::Journal;
use tokio::sync::Notify;

pub(crate) const NAME: &str = "trail";

/// The aggregate type that it follows.
const FOLLOWED: &str = "followed";

/// Positions by stream.
pub(crate) type Rows = BTreeMap<String, Vec<u64>>;

/// Follows streams, each an ordering key; fails as long as it is told to.
#[derive(Default)]
pub(crate) struct Trail {
    poison: Mutex<BTreeSet<u64>>,
    /// At these the connection is lost, once each.
    crashes: Mutex<BTreeSet<u64>>,
    gate: Mutex<Option<(u64, Arc<Gate>)>>,
}

/// Where whoever applies an event first is held, before its commit.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
}

impl Trail {
    /// As the runner wants it; a test's few bytes may stay until its process ends.
    pub(crate) fn leak() -> (&'static Self, &'static [&'static dyn Projection]) {
        let trail: &'static Self = Box::leak(Box::default());
        (trail, Box::leak(Box::new([trail as &dyn Projection])))
    }

    /// Holds whoever applies the event at `position` first from now on.
    pub(crate) fn hold_at(&self, position: u64) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        let mut held = self.gate.lock().expect("nobody panics with the lock");
        *held = Some((position, gate.clone()));
        gate
    }

    fn gate_at(&self, of: impl Fn(&u64) -> bool) -> Option<Arc<Gate>> {
        let mut held = self.gate.lock().expect("nobody panics with the lock");
        held.take_if(|(position, _)| of(position)).map(|(_, gate)| gate)
    }

    pub(crate) fn poison(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.poison.lock().expect("nobody panics with the lock")
    }

    pub(crate) fn crashes(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.crashes.lock().expect("nobody panics with the lock")
    }
}

impl Projection for Trail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[FOLLOWED]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["trail"]
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
        Some(projections::stream(event))
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            let of = |position: &u64| events.iter().any(|event| event.position.get() == *position);
            let streams: Vec<&str> =
                events.iter().map(|event| event.aggregate_id.as_str()).collect();
            let positions: Vec<i64> = events.iter().map(|event| event.position.bigint()).collect();
            sqlx::query(
                "insert into trail (stream, positions) \
                 select stream, array_agg(position order by position) \
                 from unnest($1::text[], $2::bigint[]) as given (stream, position) \
                 group by stream order by stream \
                 on conflict (stream) do update \
                   set positions = trail.positions || excluded.positions",
            )
            .bind(streams)
            .bind(positions)
            .execute(&mut *conn)
            .await?;
            if let Some(gate) = self.gate_at(of) {
                gate.reached.notify_one();
                gate.open.notified().await;
            }
            let crash = self.crashes().iter().copied().find(of);
            if let Some(crash) = crash {
                self.crashes().remove(&crash);
                sqlx::query("select pg_terminate_backend(pg_backend_pid())")
                    .execute(&mut *conn)
                    .await?;
            }
            let poison = self.poison().iter().copied().find(of);
            // Each kind of fault that lasts.
            match poison {
                None => Ok(()),
                Some(position) if position % 3 == 0 => Err(ApplyError::Event {
                    position: Position::new(position),
                    reason: "as the test wants it".to_owned(),
                }),
                Some(position) if position % 3 == 1 => {
                    sqlx::query("insert into trail (stream, positions) values (null, '{}')")
                        .execute(conn)
                        .await?;
                    Ok(())
                }
                Some(_) => panic!("a mishap that a test asked for"),
            }
        })
    }
}

pub(crate) async fn create_table(pool: &PgPool) {
    sqlx::query("create table trail (stream text primary key, positions bigint[] not null)")
        .execute(pool)
        .await
        .expect("the table is new");
}

/// Records the next event of a stream.
pub(crate) fn step(history: &Journal, stream: impl std::fmt::Display) -> Position {
    history.record_raw(FOLLOWED, format!("stream-{stream}"), "Stepped", "{}").position
}

/// What the table has to hold when every stream stops at its first event that is poison; and the
/// positions that then wait as dead letters.
pub(crate) fn expected(history: &Journal, poison: &BTreeSet<u64>) -> (Rows, Vec<u64>) {
    let (mut rows, mut letters, mut parked) = (Rows::new(), Vec::new(), BTreeSet::new());
    for event in history.after(Position::START).filter(|event| event.aggregate_type == FOLLOWED) {
        let stream = event.aggregate_id.clone();
        if poison.contains(&event.position.get()) {
            parked.insert(stream.clone());
        }
        if parked.contains(&stream) {
            letters.push(event.position.get());
        } else {
            rows.entry(stream).or_default().push(event.position.get());
        }
    }
    (rows, letters)
}

pub(crate) async fn rows(pool: &PgPool) -> Rows {
    let Json(rows): Json<Rows> = sqlx::query_scalar(
        "select coalesce(json_object_agg(stream, positions), '{}'::json) from trail",
    )
    .fetch_one(pool)
    .await
    .expect("a query");
    rows
}
