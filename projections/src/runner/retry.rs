//! Tries events again that could not be applied, when somebody asks for it.

use super::checkpoint::{self, signed};
use super::worker::Interrupted;
use crate::lanes::{self, Buried};
use crate::projection::Projection;
use crate::status::Status;
use domain::{BEYOND_THIS_BUILD, Cursor, EventSource, RecordedEvent};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most events in one transaction of a retry: they are applied one by one, with the checkpoint
/// locked, so this bounds how long another worker waits (some tenths of a second).
const RETRY_EVENTS: i64 = 100;

/// An event to try again.
#[derive(sqlx::FromRow)]
struct Wanted {
    #[sqlx(try_from = "i64")]
    position: u64,
    lane: Option<String>,
}

/// Tries the next events of the lanes for which that was asked, in order: each is applied and its letter goes,
/// in one transaction. Where one fails again its lane stays parked from there on.
///
/// The checkpoint's row is locked first, as by every batch, so nothing of the lane is applied or
/// held back beside it.
pub(super) async fn retry<S: EventSource>(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    source: &S,
) -> Result<(), Interrupted> {
    let mut transaction = conn.begin().await?;
    let mut row = checkpoint::lock(&mut transaction, projection.name()).await?;
    if row.version != projection.version() {
        return Ok(());
    }
    // So that a deferred constraint speaks up at the event that breaks it.
    sqlx::query("set constraints all immediate").execute(&mut *transaction).await?;
    let wanted: Vec<Wanted> = sqlx::query_as(
        "select position, lane from dead_letters letter \
         where consumer = $1 and (status <> 'given_up' or retry) and exists ( \
           select from dead_letters asked where asked.consumer = $1 and asked.retry \
             and asked.lane is not distinct from letter.lane) \
         order by position limit $2",
    )
    .bind(projection.name())
    .bind(RETRY_EVENTS)
    .fetch_all(&mut *transaction)
    .await?;
    let mut failed: BTreeSet<Option<String>> = BTreeSet::new();
    for Wanted { position, lane } in wanted {
        if failed.contains(&lane) {
            continue;
        }
        let blocks_all = lane.is_none();
        if blocks_all && !(row.status == Status::Parked && row.position + 1 == position) {
            // The projection does not stand before it; it meets the event by itself.
            remove(&mut transaction, projection, position, &lane).await?;
            continue;
        }
        let event = read(source, position).await?;
        if try_event(projection, &mut transaction, &event, &lane).await? {
            if blocks_all {
                row.set(Cursor::behind(&event));
                row.status = Status::Running;
            }
        } else {
            failed.insert(lane);
        }
    }
    // What there was no room for, or came meanwhile, waits behind nothing any more.
    sqlx::query(
        "update dead_letters behind set retry = true \
         where consumer = $1 and status = 'waiting' and not retry and not exists ( \
           select from dead_letters head where head.consumer = $1 and head.lane = behind.lane \
             and head.status = 'failed')",
    )
    .bind(projection.name())
    .execute(&mut *transaction)
    .await?;
    checkpoint::settle(&mut transaction, projection, &row).await?;
    transaction.commit().await?;
    Ok(())
}

/// Asks for another try of what a build before this one did not know: this one may know it. If not, that
/// costs one attempt for each leader.
pub(super) async fn ask_for_newer(
    conn: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update dead_letters set retry = true \
         where consumer = $1 and status = 'failed' and position($2 in reason) > 0",
    )
    .bind(projection.name())
    .bind(BEYOND_THIS_BUILD)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether what comes after the event in its lane may be applied.
async fn try_event(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    event: &Arc<RecordedEvent>,
    lane: &Option<String>,
) -> Result<bool, Interrupted> {
    let mut step = conn.begin().await?;
    // What the whole projection stood before may belong to a lane that is parked.
    let tried = lanes::apply(projection, &mut step, std::slice::from_ref(event), lane.is_none());
    let error = match tried.await {
        Ok(()) => {
            step.commit().await?;
            remove(conn, projection, event.position, lane).await?;
            return Ok(true);
        }
        Err(error) => error.lasting()?,
    };
    step.rollback().await?;
    let reason = lanes::reason_of(&error);
    match lanes::bury(projection, conn, event, &reason).await? {
        Buried::LeftOut | Buried::LaneParked => Ok(true),
        Buried::Blocks => {
            lanes::keep(projection, conn, event, lane.as_deref(), "failed", &reason).await?;
            sqlx::query(
                "update dead_letters set retry = false \
                 where consumer = $1 and lane is not distinct from $2 and retry",
            )
            .bind(projection.name())
            .bind(lane)
            .execute(conn)
            .await?;
            tracing::error!(
                projection.name = projection.name(),
                event.position = event.position,
                reason,
                "an event was tried again and still cannot be applied"
            );
            Ok(false)
        }
    }
}

/// The letter of an event that has had its effect; not of one that waits in a lane by now.
async fn remove(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    position: u64,
    lane: &Option<String>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from dead_letters \
         where consumer = $1 and position = $2 and lane is not distinct from $3",
    )
    .bind(projection.name())
    .bind(signed(position))
    .bind(lane)
    .execute(conn)
    .await?;
    Ok(())
}

async fn read<S: EventSource>(
    source: &S,
    position: u64,
) -> Result<Arc<RecordedEvent>, Interrupted> {
    // From the database: somebody may have repaired what is stored there since it was first read.
    source.event_at(position).await?.ok_or(Interrupted::Gap { expected: position, found: 0 })
}
