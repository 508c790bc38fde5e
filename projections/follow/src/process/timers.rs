//! What a process has to do later, on the database's clock.

use super::{Change, Next, Process, TIMERS_PATIENCE, within};
use crate::backoff::pause_after;
use domain::{RecordedEvent, Timestamp};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Timers that are at work at the same time in one process. Most of the time of one is somebody else's answer
/// waited for, so there are many: who waits for nobody must find a place.
const TIMERS_AT_ONCE: usize = 64;

/// A timer that is due.
#[derive(Debug, Clone, FromRow)]
pub struct Timer {
    /// Names it within its process.
    pub key: String,
    /// What it needs to know.
    #[sqlx(json)]
    pub data: Value,
    /// How often it has been due before.
    #[sqlx(try_from = "i32")]
    pub attempts: u32,
    /// When what set it was recorded.
    set_at: OffsetDateTime,
    /// The database's time when it was taken.
    taken_at: OffsetDateTime,
}

impl Timer {
    /// How long ago, on the database's clock, what set it was recorded.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::try_from(self.taken_at - self.set_at).unwrap_or_default()
    }

    /// When what set it was recorded.
    #[must_use]
    pub fn set_at(&self) -> Timestamp {
        self.set_at.into()
    }

    /// A pause that doubles with every attempt, from `first` to `longest`.
    #[must_use]
    pub fn back_off(&self, first: Duration, longest: Duration) -> Duration {
        pause_after(u64::from(self.attempts) + 1, first, longest)
    }
}

/// Sets and clears timers.
pub(super) async fn apply(
    conn: &mut PgConnection,
    process: &str,
    event: &RecordedEvent,
    changes: Vec<Change>,
) -> Result<(), sqlx::Error> {
    for change in changes {
        match change {
            Change::Set { key, after, data } => {
                sqlx::query(
                    "insert into process_timers (process, key, set_at, due_at, data) \
                     values ($1, $2, $3::timestamptz, $3 + make_interval(secs => $4), $5) \
                     on conflict do nothing",
                )
                .bind(process)
                .bind(key)
                .bind(event.recorded_at)
                .bind(after.as_secs_f64())
                .bind(Json(data))
                .execute(&mut *conn)
                .await?;
            }
            Change::Clear { key } => {
                sqlx::query("delete from process_timers where process = $1 and key = $2")
                    .bind(process)
                    .bind(key)
                    .execute(&mut *conn)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Does what is due, until `cancel`: each for itself, so that a slow one keeps its own place and no other.
pub(super) async fn fire<P: Process>(process: &P, pool: &PgPool, cancel: &CancellationToken) {
    let lease = P::PATIENCE + TIMERS_PATIENCE;
    let (mut working, mut failures) = (FuturesUnordered::new(), 0);
    let mut next_look = Instant::now();
    loop {
        let room = TIMERS_AT_ONCE - working.len();
        if room > 0 && Instant::now() >= next_look {
            let taken = within(TIMERS_PATIENCE, take(pool, P::NAME, lease, room)).await;
            failures = if taken.is_err() { failures + 1 } else { 0 };
            let due = taken.unwrap_or_else(|error| {
                tracing::warn!(process.name = P::NAME, %error, "timers could not be read");
                vec![]
            });
            if due.len() < room {
                next_look = Instant::now() + super::pause(failures);
            }
            for timer in due {
                working.push(async move { work(process, pool, &timer).await });
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(()) = working.next(), if !working.is_empty() => {}
            () = tokio::time::sleep_until(next_look), if working.len() < TIMERS_AT_ONCE => {}
        }
    }
    // What is under way ends; whoever waits for us bounds it, and its lease what is lost by that.
    while working.next().await.is_some() {}
}

/// Does what one timer is for, and says what becomes of it.
async fn work<P: Process>(process: &P, pool: &PgPool, timer: &Timer) {
    let Ok(next) = tokio::time::timeout(P::PATIENCE, process.due(timer)).await else {
        // It is due again when its lease is over.
        tracing::warn!(process.name = P::NAME, timer = timer.key, "what was due is late");
        return;
    };
    if let Err(error) = within(TIMERS_PATIENCE, settle(pool, P::NAME, timer, next)).await {
        tracing::warn!(process.name = P::NAME, timer = timer.key, %error, "a timer could not be settled");
    }
}

/// Taking a timer pushes it away by a lease, so that nobody else does the same, and a crash in here only
/// delays it.
async fn take(
    pool: &PgPool,
    process: &str,
    lease: Duration,
    most: usize,
) -> Result<Vec<Timer>, sqlx::Error> {
    sqlx::query_as(
        "update process_timers t \
         set attempts = t.attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2) \
         where (t.process, t.key) in ( \
           select process, key from process_timers \
           where process = $1 and due_at <= clock_timestamp() \
           order by due_at limit $3 for update skip locked) \
         returning t.key, t.data, t.attempts - 1 as attempts, t.set_at, \
                   clock_timestamp() as taken_at",
    )
    .bind(process)
    .bind(lease.as_secs_f64())
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Unless an event has cleared it, or somebody else has taken it since.
async fn settle(
    pool: &PgPool,
    process: &str,
    timer: &Timer,
    next: Next,
) -> Result<(), sqlx::Error> {
    let taken = timer.attempts.cast_signed() + 1;
    let settled = match next {
        Next::Done => sqlx::query(
            "delete from process_timers where process = $1 and key = $2 and attempts = $3",
        )
        .bind(process)
        .bind(&timer.key)
        .bind(taken),
        Next::Again(pause) => sqlx::query(
            "update process_timers set due_at = clock_timestamp() + make_interval(secs => $4) \
             where process = $1 and key = $2 and attempts = $3",
        )
        .bind(process)
        .bind(&timer.key)
        .bind(taken)
        .bind(pause.as_secs_f64()),
    };
    settled.execute(pool).await.map(drop)
}
