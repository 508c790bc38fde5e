//! What becomes of an event that cannot be applied, and of those that depend on it.
//!
//! The event and every later one of its lane are kept as dead letters, in the transaction that
//! moves the checkpoint past them; the other lanes go on. The live worker and a rebuild both go
//! through here, so that both leave the same rows and the same letters. Names without a schema are
//! those of the connection: a rebuild has letters of its own until it swaps.

use crate::projection::{ApplyError, Projection};
use crate::runner::checkpoint::signed;
use domain::RecordedEvent;
use futures::FutureExt;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The most lanes of a projection that may be parked. More are no bad events but a fault of the
/// code or the database, and going on would only spread it: the projection parks as a whole.
pub(crate) const MAX_PARKED_LANES: i64 = 100;

/// The most events of a projection that may wait. It bounds the table, what a batch looks up while
/// a lane is parked, and how long a retry takes (some seconds).
pub(crate) const MAX_HELD_EVENTS: i64 = 10_000;

/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 500;

/// A lane is parked as long as this holds for one of its letters. One that was given up counts until
/// its worker has seen to it: it is tried once more, before anything that comes after it.
const IS_OPEN: &str = "(status <> 'given_up' or retry)";

/// What became of an event that cannot be applied.
pub(crate) enum Buried {
    /// Somebody gave it up before: it has no effect, and keeps nobody from going on.
    LeftOut,
    /// Its lane is parked.
    LaneParked,
    /// It has no lane, or there is no room for more: nothing after it may be applied.
    Blocks,
}

/// Applies events within the caller's transaction. With `some_parked`, those of parked lanes are
/// held back as dead letters instead.
///
/// # Errors
/// [`ApplyError`]; the caller rolls back, and finds out which event it was.
pub(crate) async fn apply(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
    some_parked: bool,
) -> Result<(), ApplyError> {
    if !some_parked {
        return apply_guarded(projection, conn, events).await;
    }
    let free = hold(projection, conn, events).await?;
    if free.is_empty() { Ok(()) } else { apply_guarded(projection, conn, &free).await }
}

/// A panic is a fault in the projection's code, met by one event: an event that cannot be applied,
/// like any other.
async fn apply_guarded(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    AssertUnwindSafe(projection.apply(conn, events))
        .catch_unwind()
        .await
        .unwrap_or(Err(ApplyError::Panicked))
}

/// Keeps the events of parked lanes as dead letters and gives the others.
async fn hold(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<Vec<Arc<RecordedEvent>>, ApplyError> {
    let parked: Vec<(String, i64)> = sqlx::query_as(&format!(
        "select lane, count(*) from dead_letters \
         where consumer = $1 and lane is not null and {IS_OPEN} group by lane"
    ))
    .bind(projection.name())
    .fetch_all(&mut *conn)
    .await?;
    let mut room = MAX_HELD_EVENTS - parked.iter().map(|(_, held)| held).sum::<i64>();
    let lanes: BTreeSet<String> = parked.into_iter().map(|(lane, _)| lane).collect();
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for event in events {
        match projection.lane(event).filter(|lane| lanes.contains(lane)) {
            None => free.push(Arc::clone(event)),
            Some(_) if room <= 0 => {
                let reason = format!("{MAX_HELD_EVENTS} events wait behind others already");
                return Err(ApplyError::Event { position: event.position, reason });
            }
            Some(lane) => {
                room -= 1;
                held.push((lane, event));
            }
        }
    }
    if !held.is_empty() {
        // The letter of an event that the whole projection stood before is there already.
        sqlx::query(
            "insert into dead_letters (consumer, position, lane, status, attempts, \
                                       event_id, event_type, aggregate_type, aggregate_id) \
             select $1, position, lane, 'waiting', 0, event_id, event_type, \
                    aggregate_type, aggregate_id \
             from unnest($2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[]) \
               as held (position, lane, event_id, event_type, aggregate_type, aggregate_id) \
             on conflict (consumer, position) do update \
               set lane = excluded.lane, status = 'waiting', reason = null, retry = false",
        )
        .bind(projection.name())
        .bind(held.iter().map(|(_, event)| signed(event.position)).collect::<Vec<_>>())
        .bind(held.iter().map(|(lane, _)| lane.as_str()).collect::<Vec<_>>())
        .bind(held.iter().map(|(_, event)| event.event_id).collect::<Vec<_>>())
        .bind(held.iter().map(|(_, event)| event.event_type.as_str()).collect::<Vec<_>>())
        .bind(held.iter().map(|(_, event)| event.aggregate_type.as_str()).collect::<Vec<_>>())
        .bind(held.iter().map(|(_, event)| event.aggregate_id.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    }
    Ok(free)
}

/// Decides about an event that cannot be applied, within the caller's transaction, and keeps the
/// letter that belongs to the decision. The caller moves the checkpoint past it, or, when it
/// [`Buried::Blocks`], lets nothing pass.
pub(crate) async fn bury(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    event: &RecordedEvent,
    reason: &str,
) -> Result<Buried, sqlx::Error> {
    // Decisions of people are among the live letters, also for a rebuild.
    let given_up: bool = sqlx::query_scalar(
        "select exists (select from public.dead_letters \
         where consumer = $1 and position = $2 and status = 'given_up')",
    )
    .bind(projection.name())
    .bind(signed(event.position))
    .fetch_one(&mut *conn)
    .await?;
    if given_up {
        let lane = projection.lane(event);
        keep(projection, conn, event, lane.as_deref(), "given_up", reason).await?;
        return Ok(Buried::LeftOut);
    }
    let Some(lane) = projection.lane(event) else { return Ok(Buried::Blocks) };
    // An event of a parked lane comes here only for want of room, or when it is tried again.
    let blocks: bool = sqlx::query_scalar(&format!(
        "select count(distinct lane) >= $3 or coalesce(bool_or(lane = $2), false) \
         from dead_letters where consumer = $1 and lane is not null and {IS_OPEN}"
    ))
    .bind(projection.name())
    .bind(&lane)
    .bind(MAX_PARKED_LANES)
    .fetch_one(&mut *conn)
    .await?;
    if blocks {
        return Ok(Buried::Blocks);
    }
    keep(projection, conn, event, Some(&lane), "failed", reason).await?;
    Ok(Buried::LaneParked)
}

/// Keeps the letter of an event that could not be applied; counts the attempt.
pub(crate) async fn keep(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    event: &RecordedEvent,
    lane: Option<&str>,
    status: &str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into dead_letters as known (consumer, position, lane, status, reason, \
                                            event_id, event_type, aggregate_type, aggregate_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         on conflict (consumer, position) do update \
           set lane = coalesce(excluded.lane, known.lane), status = excluded.status, \
               reason = excluded.reason, attempts = known.attempts + 1, last_at = now(), \
               retry = false",
    )
    .bind(projection.name())
    .bind(signed(event.position))
    .bind(lane)
    .bind(status)
    .bind(reason)
    .bind(event.event_id)
    .bind(&event.event_type)
    .bind(&event.aggregate_type)
    .bind(&event.aggregate_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// The reason as it is stored and shown.
pub(crate) fn reason_of(error: &ApplyError) -> String {
    error.public_reason().chars().take(MAX_REASON_CHARS).collect()
}
