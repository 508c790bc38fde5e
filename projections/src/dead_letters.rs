//! Events that a consumer of the journal could not take in, what waits behind them, and what people
//! decide about them.

use crate::page::{Limit, Page, QueryError, parse_cursor};
use domain::Position;
use follow::position;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use uuid::Uuid;

/// Names a dead letter: `<consumer>.<position>`, the same after every rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterId {
    /// Whoever could not take the event in.
    pub consumer: String,
    /// The event.
    pub position: Position,
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.consumer, self.position)
    }
}

/// Not `<consumer>.<position>` in its one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dead letter is named <consumer>.<position>, such as orders.1234")]
pub struct InvalidDeadLetterId;

impl FromStr for DeadLetterId {
    type Err = InvalidDeadLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidDeadLetterId> {
        let (consumer, position) = text.split_once('.').ok_or(InvalidDeadLetterId)?;
        let position: i64 = position.parse().map_err(|_| InvalidDeadLetterId)?;
        let position = Position::try_from(position).map_err(|_| InvalidDeadLetterId)?;
        let id = Self { consumer: consumer.to_owned(), position };
        // A second spelling of the same id would pass other permission rules than the first.
        (id.position > Position::START && id.to_string() == text)
            .then_some(id)
            .ok_or(InvalidDeadLetterId)
    }
}

/// Where an event stands that was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DeadLetterStatus {
    /// It could not be applied.
    Failed,
    /// It waits behind one that could not.
    Waiting,
    /// Somebody decided that it has no effect if it cannot be applied.
    GivenUp,
}

/// An event that a consumer of the journal could not take in, or that waits behind such a one.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DeadLetter {
    /// Which one.
    #[sqlx(flatten)]
    pub id: DeadLetterId,
    /// What waits with it; none: the consumer as a whole.
    #[sqlx(rename = "lane")]
    pub ordering_key: Option<String>,
    /// Where it stands.
    pub status: DeadLetterStatus,
    /// Why it failed; holds no personal data. None while it only waits.
    pub reason: Option<String>,
    /// The event's id.
    pub event_id: Uuid,
    /// The event's type.
    pub event_type: String,
    /// The type of its aggregate.
    pub aggregate_type: String,
    /// The id of its aggregate.
    pub aggregate_id: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Whether a try was asked for that has not been made yet.
    pub retry: bool,
    /// When it came here, on the database's clock.
    pub first_at: OffsetDateTime,
    /// When it was tried last, or given up.
    pub last_at: OffsetDateTime,
}

impl<'r> FromRow<'r, sqlx::postgres::PgRow> for DeadLetterId {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row;
        Ok(Self {
            consumer: row.try_get("consumer")?,
            position: position::read(row.try_get("position")?)?,
        })
    }
}

/// What a decision about a dead letter came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// The consumer's worker does it, within about a second.
    Accepted,
    /// There is no such letter, or no longer.
    Unknown,
    /// An event that only waits has not failed: nobody knows yet that it cannot be applied.
    OnlyWaits,
    /// It was given up before.
    GivenUp,
}

const SELECT: &str = "select consumer, position, lane, status, reason, event_id, event_type, \
                      aggregate_type, aggregate_id, attempts, retry, first_at, last_at \
                      from dead_letters";

/// All dead letters, by consumer and position.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<DeadLetter>, QueryError> {
    let after: (String, Position) = parse_cursor(cursor)?.unwrap_or_default();
    let select = format!(
        "{SELECT} where (consumer, position) > ($1, $2) order by consumer, position limit $3"
    );
    let letters: Vec<DeadLetter> = sqlx::query_as(&select)
        .bind(after.0)
        .bind(after.1.bigint())
        .bind(limit.look_ahead())
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(letters, limit, |last| (last.id.consumer.clone(), last.id.position)))
}

/// One dead letter.
///
/// # Errors
/// When the database cannot answer.
pub async fn find(pool: &PgPool, id: &DeadLetterId) -> Result<Option<DeadLetter>, sqlx::Error> {
    sqlx::query_as(&format!("{SELECT} where consumer = $1 and position = $2"))
        .bind(&id.consumer)
        .bind(id.position.bigint())
        .fetch_optional(pool)
        .await
}

/// Whether events of a stream wait to be applied by a projection, so that its rows are older than the
/// projection's position, or absent. Ask before reading the rows: a retry takes letters away together
/// with its rows.
///
/// # Errors
/// When the database cannot answer.
pub async fn is_waiting(
    pool: &PgPool,
    projection: &str,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from dead_letters where consumer = $1 and aggregate_type = $2 \
         and aggregate_id = $3 and (status <> 'given_up' or retry))",
    )
    .bind(projection)
    .bind(aggregate_type)
    .bind(aggregate_id)
    .fetch_one(pool)
    .await
}

/// How many events of each consumer failed or wait.
///
/// # Errors
/// When the database cannot answer.
pub async fn count(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select consumer, count(*) from dead_letters where status <> 'given_up' \
         group by consumer order by consumer",
    )
    .fetch_all(pool)
    .await
}

/// Lets the letter's ordering key be tried again, from its first event on: what can be applied is, in
/// order and once; whatever fails again stays, and so does what comes after it.
///
/// # Errors
/// When the database cannot answer.
pub async fn request_retry(pool: &PgPool, id: &DeadLetterId) -> Result<Decided, sqlx::Error> {
    match find(pool, id).await?.map(|letter| letter.status) {
        None => return Ok(Decided::Unknown),
        Some(DeadLetterStatus::GivenUp) => return Ok(Decided::GivenUp),
        Some(DeadLetterStatus::Failed | DeadLetterStatus::Waiting) => {}
    }
    // One row stands for its ordering key: more would be locked in another order than the worker's.
    sqlx::query(
        "update dead_letters set retry = true \
         where consumer = $1 and position = $2 and status <> 'given_up'",
    )
    .bind(&id.consumer)
    .bind(id.position.bigint())
    .execute(pool)
    .await?;
    Ok(Decided::Accepted)
}

/// Gives up on an event that failed: it is tried once more, and if it still cannot be applied it
/// counts from then on as an event without effect, for this consumer only. What waits behind it is
/// then tried in order. No other event is lost by it, and the letter stays as its record.
///
/// # Errors
/// When the database cannot answer.
pub async fn give_up(pool: &PgPool, id: &DeadLetterId) -> Result<Decided, sqlx::Error> {
    match find(pool, id).await?.map(|letter| letter.status) {
        None => return Ok(Decided::Unknown),
        Some(DeadLetterStatus::Waiting) => return Ok(Decided::OnlyWaits),
        Some(DeadLetterStatus::GivenUp) => return Ok(Decided::GivenUp),
        Some(DeadLetterStatus::Failed) => {}
    }
    sqlx::query(
        "update dead_letters set status = 'given_up', retry = true, last_at = now() \
         where consumer = $1 and position = $2 and status = 'failed'",
    )
    .bind(&id.consumer)
    .bind(id.position.bigint())
    .execute(pool)
    .await?;
    Ok(Decided::Accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id: DeadLetterId = "orders.1234".parse().expect("it names a letter");
        assert_eq!(
            id,
            DeadLetterId { consumer: "orders".to_owned(), position: Position::new(1_234) }
        );
        assert_eq!(id.to_string(), "orders.1234");
        for other in ["orders", "orders.", "orders.0", "orders.-1", "orders.007", "orders.+7"] {
            assert_eq!(other.parse::<DeadLetterId>(), Err(InvalidDeadLetterId), "{other}");
        }
    }
}
