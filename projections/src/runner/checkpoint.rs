//! The statements on a projection's row in `projections`.

use crate::projection::Projection;
use crate::status::Status;
use domain::{Cursor, Position};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// What a worker needs to know of the row.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct Checkpoint {
    pub(super) version: i32,
    #[sqlx(try_from = "i64")]
    pub(super) position: Position,
    /// The event at `position`; none where no event was applied yet, or a build applied it that did
    /// not write this down.
    pub(super) event_id: Option<Uuid>,
    pub(super) status: Status,
    /// Somebody asked for another try of a dead letter.
    pub(super) retry: bool,
    /// Where the row lies. Each move of the checkpoint leaves a dead row behind, which stays as long as
    /// anybody reads an old snapshot, a dump of hours perhaps; whoever looks the row up passes all of
    /// them, whoever knows where it lies none.
    pub(super) ctid: String,
}

impl Checkpoint {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { position: self.position, event_id: self.event_id }
    }

    pub(super) fn set(&mut self, cursor: Cursor) {
        self.position = cursor.position;
        self.event_id = cursor.event_id;
    }
}

const SELECT: &str = "select version, position, \
                      case when event_position = position then event_id end as event_id, status, \
                      ctid::text as ctid, exists (select from dead_letters where consumer = $1 and retry) as retry \
                      from projections where name = $1";

/// Makes the row of a projection that never ran here.
pub(crate) async fn register(
    conn: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into projections (name, version) values ($1, $2) on conflict (name) do nothing",
    )
    .bind(projection.name())
    .bind(projection.version())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn load(conn: &mut PgConnection, name: &str) -> Result<Checkpoint, sqlx::Error> {
    sqlx::query_as(SELECT).bind(name).fetch_one(conn).await
}

/// As [`load`]; keeps every other worker, and a swap, from the row until the transaction's end.
pub(super) async fn lock(conn: &mut PgConnection, name: &str) -> Result<Checkpoint, sqlx::Error> {
    sqlx::query_as(&format!("{SELECT} for update")).bind(name).fetch_one(conn).await
}

/// Whether the journal of this database has the event behind which a checkpoint stands. Rows are only
/// as good as the history that they were made of.
const IN_JOURNAL: &str = "($1 = 0 or exists (select from public.events e where e.position = $1 \
                          and ($2::uuid is null or e.event_id = $2)))";

/// Whether the journal of this database has the event that the cursor stands behind.
pub(crate) async fn is_in_journal(
    conn: &mut PgConnection,
    cursor: Cursor,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(&format!("select {IN_JOURNAL}"))
        .bind(cursor.position.bigint())
        .bind(cursor.event_id)
        .fetch_one(conn)
        .await
}

/// Moves the checkpoint, if it still is where the worker believes and the journal of this database
/// has the event that it moves behind, and says whether ordering keys are parked, and where the row lies now; none
/// when it is not so. Locks the row, so that a second worker waits here instead of doing the same work,
/// and what it is told of ordering keys holds until its commit.
pub(super) async fn advance(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    from: &Checkpoint,
    to: Cursor,
) -> Result<Option<(Status, String)>, sqlx::Error> {
    // Where it lay is a hint: the row may have been moved with its values as they were.
    for hint in ["ctid = $7::tid and", "$7 <> '' and"] {
        let moved = sqlx::query_as(&format!(
            "update projections set position = $1, event_position = $1, event_id = $2, \
               updated_at = now() \
             where {hint} name = $3 and version = $4 and position = $5 and status <> 'parked' \
               and case when event_position = position then event_id end is not distinct from $6 \
               and {IN_JOURNAL} returning status, ctid::text"
        ))
        .bind(to.position.bigint())
        .bind(to.event_id)
        .bind(projection.name())
        .bind(projection.version())
        .bind(from.position.bigint())
        .bind(from.event_id)
        .bind(&from.ctid)
        .fetch_optional(&mut *conn)
        .await?;
        if moved.is_some() {
            return Ok(moved);
        }
    }
    Ok(None)
}

/// Writes where the locked row stands now. Parked is what the worker says; whether ordering keys are parked
/// the letters say.
pub(super) async fn settle(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    row: &Checkpoint,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update projections set position = $2::bigint, event_position = $2, event_id = $4, \
           updated_at = now(), status = case when $3 then 'parked' \
             when exists (select from dead_letters where consumer = $1 \
                          and lane is not null and (status <> 'given_up' or retry)) \
             then 'partly_parked' else 'running' end, \
           parked_position = case when $3 then $2 + 1 end, \
           parked_reason = case when $3 then coalesce((select reason from dead_letters \
             where consumer = $1 and position = $2 + 1), parked_reason) end \
         where name = $1",
    )
    .bind(projection.name())
    .bind(row.position.bigint())
    .bind(row.status == Status::Parked)
    .bind(row.event_id)
    .execute(conn)
    .await?;
    Ok(())
}
