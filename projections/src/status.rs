use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

/// Whether a projection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It applies events as they come.
    Running,
    /// It stands before an event that it cannot apply, until somebody retries.
    Parked,
}

impl TryFrom<String> for Status {
    type Error = UnknownStatus;

    fn try_from(status: String) -> Result<Self, UnknownStatus> {
        match status.as_str() {
            "running" => Ok(Self::Running),
            "parked" => Ok(Self::Parked),
            _ => Err(UnknownStatus),
        }
    }
}

/// A newer build wrote a status that this one does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the status of a projection is not known to this build")]
pub struct UnknownStatus;

/// How far a projection has come.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: String,
    /// The version of its rows.
    pub version: i32,
    /// Everything up to this position is in its rows.
    #[sqlx(try_from = "i64")]
    pub position: u64,
    /// Whether it goes on.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// The event before which it stands when it is parked; always the one after `position`.
    pub parked_position: Option<i64>,
    /// Why, when it is parked; holds no personal data.
    pub parked_reason: Option<String>,
    /// When `position` or `status` changed last, on the database's clock.
    pub updated_at: OffsetDateTime,
}

/// All projections that ever ran here, by name.
///
/// # Errors
/// When the database cannot answer.
pub async fn list_projections(pool: &PgPool) -> Result<Vec<ProjectionStatus>, sqlx::Error> {
    sqlx::query_as(
        "select name, version, position, status, parked_position, parked_reason, updated_at \
         from projections order by name",
    )
    .fetch_all(pool)
    .await
}

/// Lets a parked projection try its event again, within about a second; false when it is not
/// parked.
///
/// # Errors
/// When the database cannot answer.
pub async fn retry_parked(pool: &PgPool, name: &str) -> Result<bool, sqlx::Error> {
    let retried = sqlx::query(
        "update projections set status = 'running', parked_position = null, \
         parked_reason = null, updated_at = now() where name = $1 and status = 'parked'",
    )
    .bind(name)
    .execute(pool)
    .await?;
    Ok(retried.rows_affected() > 0)
}
