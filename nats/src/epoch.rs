//! Which history the journal tells.
//!
//! Positions alone cannot tell a journal from a restored copy of it that went on differently. The
//! epoch is a random id beside the journal and in the stream's metadata; [`begin_anew`] is how an
//! operator says "from here on the journal in this database is right".

use sqlx::PgPool;
use uuid::Uuid;

/// The id of the journal's history.
///
/// # Errors
/// When the database cannot be read, or is not migrated.
pub async fn current(pool: &PgPool) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("select epoch from journal_epoch").fetch_one(pool).await
}

/// Gives the journal's history a new id: every stream made before is no copy of it any more. The
/// relay stops until the old stream is deleted, and then publishes everything again.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_anew(pool: &PgPool) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "update journal_epoch set epoch = gen_random_uuid(), since = now() returning epoch",
    )
    .fetch_one(pool)
    .await
}
