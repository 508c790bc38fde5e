//! Lets the new tables take the place of the live ones, in one transaction.

use super::fill::{consecutive, relevant};
use super::tables::is_lock_refused;
use super::{Progress, Rebuild, RebuildError, STEP_TIMEOUT};
use crate::ordering;
use crate::projection::Projection;
use crate::runner::BATCH_EVENTS;
use crate::runner::checkpoint;
use domain::{Cursor, EventSource, Position, SourceError};
use follow::position;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

/// The most events that are applied within the swap: as long as a live batch may hold the
/// checkpoint.
const LAST_EVENTS: u64 = BATCH_EVENTS as u64;

/// How long the checkpoint's row is waited for: longer than a live batch takes. Readers do not
/// queue here.
const CHECKPOINT_WAIT_MS: u32 = 5_000;

/// What became of an attempt to swap.
pub(super) enum Attempt {
    /// The new rows are live.
    Swapped,
    /// Somebody uses the tables; nothing has changed.
    Locked,
    /// The live rows are further than we could get; nothing has changed.
    Behind,
}

impl<S: EventSource, P: FnMut(Progress) + Send> Rebuild<S, P> {
    pub(super) async fn try_swap(&mut self) -> Result<Attempt, RebuildError> {
        match timeout(STEP_TIMEOUT, self.swap_at_checkpoint()).await {
            Err(_) => Err(RebuildError::Timeout(STEP_TIMEOUT)),
            Ok(Ok(Some(cursor))) => {
                self.cursor = cursor;
                Ok(Attempt::Swapped)
            }
            Ok(Ok(None)) => Ok(Attempt::Behind),
            Ok(Err(RebuildError::Database(error))) if is_lock_refused(&error) => {
                Ok(Attempt::Locked)
            }
            Ok(Err(error)) => Err(error),
        }
    }

    /// Where the new rows went live; none when the live ones are too far ahead, or what was read is of
    /// a history that is gone. What was not committed is rolled back, by the transaction's end.
    async fn swap_at_checkpoint(&mut self) -> Result<Option<Cursor>, RebuildError> {
        let mut transaction = self.conn.begin().await?;
        // From here on no worker moves the live rows.
        let live = lock_checkpoint(&mut transaction, self.projection).await?;
        // Rows of another history are no measure: they are what the new ones are to replace.
        let is_measure = checkpoint::is_in_journal(&mut transaction, live).await?;
        let live = if is_measure { live.position } else { Position::START };
        let missing = self.cursor.position.lag(live);
        let mut cursor = self.cursor;
        if missing > 0 {
            let Some(limit) = usize::try_from(missing).ok().filter(|_| missing <= LAST_EVENTS)
            else {
                transaction.rollback().await?;
                return Ok(None);
            };
            // The live worker may have a source that is ahead of ours.
            let events = self.source.read_after(cursor, limit).await?;
            cursor = consecutive(cursor, &events)?.unwrap_or(cursor);
            if cursor.position < live {
                transaction.rollback().await?;
                return Ok(None);
            }
            let events = relevant(self.projection, &events);
            if let Err(error) =
                ordering::apply(self.projection, &mut transaction, &events, true).await
            {
                // One that can never be applied has to be found by itself, outside.
                error.lasting()?;
                transaction.rollback().await?;
                return Ok(None);
            }
        }
        if !checkpoint::is_in_journal(&mut transaction, cursor).await? {
            transaction.rollback().await?;
            return Err(SourceError::OtherHistory(cursor).into());
        }
        self.schemas.swap(&mut transaction).await?;
        self.schemas.replace_letters(&mut transaction, self.projection.name()).await?;
        move_checkpoint(&mut transaction, self.projection, cursor).await?;
        transaction.commit().await?;
        Ok(Some(cursor))
    }
}

/// Keeps every worker from moving the checkpoint until the transaction's end; says where it stands.
async fn lock_checkpoint(
    conn: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<Cursor, sqlx::Error> {
    sqlx::query("select set_config('lock_timeout', $1, true)")
        .bind(CHECKPOINT_WAIT_MS.to_string())
        .execute(&mut *conn)
        .await?;
    let (position, event_id): (i64, Option<Uuid>) = sqlx::query_as(
        "select position, case when event_position = position then event_id end \
         from public.projections where name = $1 for update",
    )
    .bind(projection.name())
    .fetch_one(conn)
    .await?;
    Ok(Cursor { position: position::read(position)?, event_id })
}

/// Lets the checkpoint say what the new rows are; it goes on, whatever it was.
async fn move_checkpoint(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    cursor: Cursor,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update public.projections set version = $2, position = $3, event_position = $3, \
         event_id = $4, \
         status = case when exists (select from public.dead_letters where consumer = $1 \
                                    and lane is not null and (status <> 'given_up' or retry)) \
           then 'partly_parked' else 'running' end, \
         parked_position = null, parked_reason = null, updated_at = now() where name = $1",
    )
    .bind(projection.name())
    .bind(projection.version())
    .bind(cursor.position.bigint())
    .bind(cursor.event_id)
    .execute(conn)
    .await?;
    Ok(())
}
