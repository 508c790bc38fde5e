use domain::Position;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

/// Whether a projection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// It applies events as they come.
    Running,
    /// It goes on, but the events of some ordering keys wait: see its dead letters.
    PartlyParked,
    /// It stands before an event that it cannot apply, until somebody retries.
    Parked,
}

/// How far a projection has come.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: String,
    /// The version of its rows.
    pub version: i32,
    /// Everything up to this position is in its rows or among its dead letters.
    #[sqlx(try_from = "i64")]
    pub position: Position,
    /// Whether it goes on.
    pub status: Status,
    /// Why, when it is parked; holds no personal data.
    pub parked_reason: Option<String>,
    /// When `position` or `status` changed last, on the database's clock.
    pub updated_at: OffsetDateTime,
}

impl ProjectionStatus {
    /// The position of the event before which it stands when it is parked.
    #[must_use]
    pub fn parked_position(&self) -> Option<Position> {
        (self.status == Status::Parked).then_some(self.position.next())
    }
}

/// All projections that ever ran here, by name.
///
/// # Errors
/// When the database cannot answer.
pub async fn list_projections(pool: &PgPool) -> Result<Vec<ProjectionStatus>, sqlx::Error> {
    sqlx::query_as(
        "select name, version, position, status, parked_reason, updated_at \
         from projections order by name",
    )
    .fetch_all(pool)
    .await
}
