//! Folded states in a table, so that a long stream is not read from its first event on.
//!
//! A snapshot is a cache and nothing else. It is written by a task of its own, from a bounded queue
//! whose overflow is dropped; it may be deleted at any time; and it is believed only if this build's
//! code folded it and its last event is still where it was.

use super::load::{AnyState, LoadError, Loaded};
use crate::counters::Counters;
use cqrs_es::Aggregate;
use domain::{STATE_VERSION, StreamKey};
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{Mutex, mpsc};
use tracing::warn;
use uuid::Uuid;

/// Events of a stream between two snapshots. Folding so many costs several times the look for a
/// snapshot; a shorter distance would write more than it saves in reading.
pub const EVENTS_BETWEEN_SNAPSHOTS: u64 = 100;

/// Snapshots waiting to be written. Each holds on to one state; more are dropped, for the next load
/// or decision that is due asks again.
const QUEUED_SNAPSHOTS: usize = 64;

/// The largest state that is kept. Reading one beyond it costs as much as the events.
const MAX_STATE_BYTES: usize = 1024 * 1024;

const READ: &str = "select s.sequence, s.event_id, s.state::text from aggregate_snapshots s \
     join events e on e.aggregate_type = s.aggregate_type and e.aggregate_id = s.aggregate_id \
                  and e.sequence = s.sequence and e.event_id = s.event_id \
     where s.aggregate_type = $1 and s.aggregate_id = $2 and s.state_version = $3 \
       and s.sequence <= $4";

/// Of several writers the one with the later state wins, whoever comes last. At the same place a row
/// of another build, or a damaged one, gives way; one whose event is gone does anywhere.
const WRITE: &str = "insert into aggregate_snapshots as s \
     (aggregate_type, aggregate_id, sequence, event_id, state_version, state) \
     values ($1, $2, $3, $4, $5, $6::json) \
     on conflict (aggregate_type, aggregate_id) do update \
     set sequence = excluded.sequence, event_id = excluded.event_id, \
         state_version = excluded.state_version, state = excluded.state, taken_at = now() \
     where s.sequence < excluded.sequence \
        or (s.sequence = excluded.sequence \
            and (s.state_version, s.state::text) <> (excluded.state_version, excluded.state::text)) \
        or not exists (select from events e \
                        where e.aggregate_type = s.aggregate_type and e.aggregate_id = s.aggregate_id \
                          and e.sequence = s.sequence and e.event_id = s.event_id)";

/// A durable state on its way into the table.
pub(super) struct Due {
    pub(super) stream: StreamKey,
    pub(super) state: AnyState,
}

/// Reads snapshots and has them written.
pub(super) struct Snapshots {
    pool: PgPool,
    queue: mpsc::Sender<Due>,
    every: u64,
}

impl Snapshots {
    /// With the task that writes them.
    pub(super) fn new(pool: PgPool, every: u64, counters: Arc<Counters>) -> (Self, SnapshotWriter) {
        let (queue, due) = mpsc::channel(QUEUED_SNAPSHOTS);
        let writer = SnapshotWriter { pool: pool.clone(), due: Arc::new(due.into()), counters };
        (Self { pool, queue, every: every.max(1) }, writer)
    }

    /// Whether a decision that took a stream from `before` to `after` is the one of so many that asks.
    pub(super) fn is_due(&self, before: u64, after: u64) -> bool {
        before / self.every != after / self.every
    }

    /// Whether a load that folded the events from `before` to `after` had too much to do.
    pub(super) fn is_overdue(&self, before: u64, after: u64) -> bool {
        after - before >= self.every
    }

    /// Asks for a snapshot. Never waits; what does not fit is dropped.
    pub(super) fn ask(&self, due: Due) {
        let _ = self.queue.try_send(due);
    }

    /// The newest usable state up to `version`, or that of an empty stream.
    pub(super) async fn read<A: Aggregate>(
        &self,
        id: &str,
        version: Option<u64>,
    ) -> Result<Loaded<A>, LoadError> {
        let newest = version.and_then(|version| i64::try_from(version).ok()).unwrap_or(i64::MAX);
        let row: Option<(i64, Uuid, String)> = sqlx::query_as(READ)
            .bind(A::TYPE)
            .bind(id)
            .bind(STATE_VERSION)
            .bind(newest)
            .fetch_optional(&self.pool)
            .await?;
        let Some((sequence, head, state)) = row else { return Ok(Loaded::default()) };
        match serde_json::from_str(&state) {
            Ok(state) => Ok(Loaded { state, sequence: sequence.unsigned_abs(), head: Some(head) }),
            Err(error) => {
                warn!(aggregate.r#type = A::TYPE, %error, "a snapshot is unreadable; its events are read");
                Ok(Loaded::default())
            }
        }
    }
}

/// Writes the snapshots that a bus asks for. Cheap to clone; one of them works at a time.
#[derive(Clone)]
pub struct SnapshotWriter {
    pool: PgPool,
    due: Arc<Mutex<mpsc::Receiver<Due>>>,
    counters: Arc<Counters>,
}

impl SnapshotWriter {
    /// Works until the bus is dropped and its queue is empty. Can be stopped and run again at any time.
    pub async fn run(&self) {
        let mut due = self.due.lock().await;
        while let Some(Due { stream, state }) = due.recv().await {
            let Some(head) = state.head else { continue };
            let Ok(text) = (state.encode)(&*state.state) else { continue };
            if text.len() > MAX_STATE_BYTES {
                continue;
            }
            let written = sqlx::query(WRITE)
                .bind(stream.aggregate_type)
                .bind(&stream.aggregate_id)
                .bind(i64::try_from(state.sequence).unwrap_or(i64::MAX))
                .bind(head)
                .bind(STATE_VERSION)
                .bind(text)
                .execute(&self.pool)
                .await;
            match written {
                Ok(done) => self.counters.snapshots.fetch_add(done.rows_affected(), Relaxed),
                // The next one will do; the database's absence is told by those who need it.
                Err(_) => continue,
            };
        }
    }
}
