//! Where a process is in the journal.

use crate::position;
use domain::{Cursor, Position};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Where the process stands, and whether somebody asked for another try of a dead letter.
pub(super) async fn load(pool: &PgPool, process: &str) -> Result<(Cursor, bool), sqlx::Error> {
    let (position, event_id, retry): (Option<i64>, Option<Uuid>, bool) = sqlx::query_as(
        "select c.position, case when c.event_position = c.position then c.event_id end, \
                exists (select from dead_letters where consumer = $1 and retry) \
         from (select) one left join process_checkpoints c on c.name = $1",
    )
    .bind(process)
    .fetch_one(pool)
    .await?;
    let position = position.map_or(Ok(Position::START), position::read)?;
    Ok((Cursor { position, event_id }, retry))
}

/// Moves the checkpoint, if it still is where this process believes and the journal of this database
/// has the event that it moves behind; both are told by the transaction that the effects are in.
pub(super) async fn advance(
    conn: &mut PgConnection,
    process: &str,
    from: Cursor,
    to: Cursor,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query(
        "insert into process_checkpoints (name, position, event_position, event_id) \
         select $1, $4, $4, $5 where exists \
           (select from events where position = $4 and ($5::uuid is null or event_id = $5)) \
         on conflict (name) do update \
         set position = $4, event_position = $4, event_id = excluded.event_id \
         where process_checkpoints.position = $2 \
           and case when process_checkpoints.event_position = $2 \
                    then process_checkpoints.event_id end is not distinct from $3",
    )
    .bind(process)
    .bind(from.position.bigint())
    .bind(from.event_id)
    .bind(to.position.bigint())
    .bind(to.event_id)
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Keeps every other one from taking events in until the transaction's end.
pub(super) async fn lock(conn: &mut PgConnection, process: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select from process_checkpoints where name = $1 for update")
        .bind(process)
        .execute(conn)
        .await
        .map(drop)
}

/// The journal has another event where the process stood, or none: whatever was to be done because of
/// events that are gone goes, and the journal is followed from its first event again. Each step may be
/// repeated, so that only costs time.
pub(super) async fn begin_anew(
    pool: &PgPool,
    process: &str,
    cursor: Cursor,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let gone = sqlx::query(
        "delete from process_checkpoints where name = $1 and position = $2 \
           and case when event_position = position then event_id end is not distinct from $3",
    )
    .bind(process)
    .bind(cursor.position.bigint())
    .bind(cursor.event_id)
    .execute(&mut *transaction)
    .await?;
    if gone.rows_affected() == 1 {
        // Timers that were cleared by events that are gone come back with what set them.
        sqlx::query("delete from process_timers where process = $1")
            .bind(process)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "delete from dead_letters l where l.consumer = $1 and not exists \
               (select from events e where e.position = l.position and e.event_id = l.event_id)",
        )
        .bind(process)
        .execute(&mut *transaction)
        .await?;
        tracing::warn!(
            process.name = process,
            event.position = cursor.position.get(),
            "the journal tells another history: a process follows it anew from its first event"
        );
    }
    transaction.commit().await
}
