//! The statements on a projection's row in `projections`.

use crate::projection::Projection;
use crate::status::Status;
use sqlx::{FromRow, PgConnection};

/// The first of the two numbers of every advisory lock that a projection's worker takes; the
/// second is the hash of the projection's name. The journal's lock has one big number, which is
/// another space.
const LOCK_CLASS: i32 = 7_367;

/// What a worker needs to know of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(super) struct Checkpoint {
    pub(super) version: i32,
    #[sqlx(try_from = "i64")]
    pub(super) position: u64,
    pub(super) status: Status,
}

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
    sqlx::query_as("select version, position, status from projections where name = $1")
        .bind(name)
        .fetch_one(conn)
        .await
}

/// Moves the checkpoint, if it still is where the worker believes. Locks the row, so that a second
/// worker waits here instead of doing the same work.
pub(super) async fn advance(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    from: u64,
    to: u64,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query(
        "update projections set position = $4, updated_at = now() \
         where name = $1 and version = $2 and position = $3 and status = 'running'",
    )
    .bind(projection.name())
    .bind(projection.version())
    .bind(signed(from))
    .bind(signed(to))
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Stops the projection before the event after `from`, if it still is there.
pub(super) async fn park(
    conn: &mut PgConnection,
    projection: &dyn Projection,
    from: u64,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let parked = sqlx::query(
        "update projections set status = 'parked', parked_position = $3 + 1, \
         parked_reason = $4, updated_at = now() \
         where name = $1 and version = $2 and position = $3 and status = 'running'",
    )
    .bind(projection.name())
    .bind(projection.version())
    .bind(signed(from))
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(parked.rows_affected() == 1)
}

/// Takes the projection's lock for as long as the connection lives; false while another has it.
pub(super) async fn try_lead(conn: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1, hashtext($2))")
        .bind(LOCK_CLASS)
        .bind(name)
        .fetch_one(conn)
        .await
}

/// Positions come from bigint columns and events counted from 1, so none is beyond a bigint.
pub(crate) fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
