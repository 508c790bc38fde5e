//! The cursors: behind which event every event of a consumer had its effect.

use domain::Cursor;
use follow::position;
use sqlx::PgPool;
use uuid::Uuid;

/// Before the first event when the consumer has never run.
pub(super) async fn load(pool: &PgPool, name: &str) -> Result<Cursor, sqlx::Error> {
    let stored: Option<(i64, Option<Uuid>)> = sqlx::query_as(
        "select position, case when event_position = position then event_id end
           from consumer_positions where name = $1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await?;
    let Some((position, event_id)) = stored else { return Ok(Cursor::START) };
    Ok(Cursor { position: position::read(position)?, event_id })
}

/// Never goes back: several processes save what each of them knows.
pub(super) async fn advance(pool: &PgPool, name: &str, cursor: Cursor) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into consumer_positions (name, position, event_position, event_id)
         values ($1, $2, $2, $3)
         on conflict (name) do update
           set position = excluded.position, event_position = excluded.event_position,
               event_id = excluded.event_id
           where consumer_positions.position < excluded.position",
    )
    .bind(name)
    .bind(cursor.position.bigint())
    .bind(cursor.event_id)
    .execute(pool)
    .await?;
    Ok(())
}

/// Goes back to before the first event, unless somebody has moved the cursor meanwhile.
pub(super) async fn begin_anew(
    pool: &PgPool,
    name: &str,
    cursor: Cursor,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from consumer_positions where name = $1 and position = $2
            and case when event_position = position then event_id end is not distinct from $3",
    )
    .bind(name)
    .bind(cursor.position.bigint())
    .bind(cursor.event_id)
    .execute(pool)
    .await?;
    Ok(())
}
