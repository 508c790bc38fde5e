//! A projection that shows every fault: it only counts, so an event that is applied twice, or not
//! at all, is a wrong number for ever.

use crate::support::record_foreign;
use domain::{Position, RecordedEvent};
use futures::future::BoxFuture;
use projections::{ApplyError, Projection};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use testkit::Journal;

pub(crate) const NAME: &str = "tally";

/// The aggregate type that it counts.
pub(crate) const COUNTED: &str = "counted";

/// What goes wrong when an event is applied, after its rows were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The server ends the connection before the commit.
    ConnectionLost,
    /// The database refuses a row.
    ConstraintViolated,
    /// The projection's code panics.
    Panic,
}

/// Counts events by stream; mishaps happen at their positions, each as often as it is listed.
pub(crate) struct Tally {
    mishaps: Mutex<BTreeMap<u64, Vec<Mishap>>>,
    pub(crate) version: i32,
    /// How long each event keeps the database busy.
    seconds_an_event: f64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { mishaps: Mutex::default(), version: 1, seconds_an_event: 0.0 }
    }

    pub(crate) fn with_mishap(self, position: u64, mishap: Mishap, times: usize) -> Self {
        let mut mishaps = self.mishaps.lock().expect("nobody panics with the lock");
        mishaps.insert(position, vec![mishap; times]);
        drop(mishaps);
        self
    }

    pub(crate) fn slow(self, seconds_an_event: f64) -> Self {
        Self { seconds_an_event, ..self }
    }

    /// As the runner wants it; a test's few bytes may stay until its process ends.
    pub(crate) fn leak(self) -> &'static [&'static dyn Projection] {
        let tally: &'static dyn Projection = Box::leak(Box::new(self));
        Box::leak(Box::new([tally]))
    }

    fn next_mishap(&self, events: &[Arc<RecordedEvent>]) -> Option<Mishap> {
        let mut mishaps = self.mishaps.lock().expect("nobody panics with the lock");
        events.iter().find_map(|event| mishaps.get_mut(&event.position.get())?.pop())
    }
}

impl Projection for Tally {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[COUNTED]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["tally"]
    }

    fn ordering_key(&self, _: &RecordedEvent) -> Option<String> {
        None
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            let streams: Vec<&str> =
                events.iter().map(|event| event.aggregate_id.as_str()).collect();
            sqlx::query(
                "insert into tally (stream, counted) \
                 select stream, count(*) from unnest($1::text[]) stream group by stream \
                 order by stream \
                 on conflict (stream) do update set counted = tally.counted + excluded.counted",
            )
            .bind(streams)
            .execute(&mut *conn)
            .await?;
            if self.seconds_an_event > 0.0 {
                sqlx::query("select pg_sleep($1)")
                    .bind(self.seconds_an_event * events.len() as f64)
                    .execute(&mut *conn)
                    .await?;
            }
            match self.next_mishap(events) {
                None => {}
                Some(Mishap::ConnectionLost) => {
                    sqlx::query("select pg_terminate_backend(pg_backend_pid())")
                        .execute(conn)
                        .await?;
                }
                Some(Mishap::ConstraintViolated) => {
                    sqlx::query("insert into tally (stream, counted) values ('secret', -1)")
                        .execute(conn)
                        .await?;
                }
                Some(Mishap::Panic) => panic!("a mishap that a test asked for"),
            }
            Ok(())
        })
    }
}

pub(crate) async fn create_table(pool: &PgPool) {
    sqlx::query(
        "create table tally (stream text primary key, \
         counted bigint not null constraint counts_up check (counted > 0))",
    )
    .execute(pool)
    .await
    .expect("the table is new");
}

/// Events on ten streams, and every fourth of an aggregate that is not counted.
pub(crate) fn history(events: u64) -> Journal {
    let history = Journal::default();
    for number in 0..events {
        if number % 4 == 3 {
            record_foreign(&history);
        } else {
            count(&history, number % 10);
        }
    }
    history
}

pub(crate) fn count(history: &Journal, stream: u64) -> Position {
    history.record_raw(COUNTED, format!("stream-{stream}"), "Counted", "{}").position
}

/// What the table has to hold after the events up to `position`.
pub(crate) fn expected(history: &Journal, position: Position) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    let counted = history.after(Position::START).filter(|event| event.position <= position);
    for event in counted.filter(|event| event.aggregate_type == COUNTED) {
        *counts.entry(event.aggregate_id.clone()).or_default() += 1;
    }
    counts
}

/// The checkpoint and the counts, of one snapshot.
pub(crate) async fn snapshot(pool: &PgPool) -> (Position, BTreeMap<String, i64>) {
    let (position, counts): (i64, sqlx::types::Json<BTreeMap<String, i64>>) = sqlx::query_as(
        "select coalesce((select position from projections where name = 'tally'), 0), \
         coalesce((select json_object_agg(stream, counted) from tally), '{}'::json)",
    )
    .fetch_one(pool)
    .await
    .expect("a query");
    (Position::try_from(position).expect("it is one"), counts.0)
}
