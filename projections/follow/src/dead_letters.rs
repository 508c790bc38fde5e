//! Events that could not be taken in, as dead letters: one is never skipped, holds back the later ones of its
//! *ordering key* (a cart, an order), in order, and nothing else.
//!
//! Every consumer of the journal has letters under its own name, in the transaction that moves its checkpoint past
//! the event. Names of tables have no schema: they are those of the connection, and a rebuild of a read model has
//! letters of its own until it swaps. What people decide about letters is in `projections::dead_letters`.

use domain::{BEYOND_THIS_BUILD, Position, RecordedEvent};
use sqlx::{FromRow, PgConnection};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most ordering keys of a consumer that may be parked. More are no bad events but a fault of the
/// code or the database, and going on would only spread it: the consumer stops as a whole.
pub const MAX_PARKED_KEYS: i64 = 100;

/// The most events of a consumer that may wait. It bounds the table, what a batch looks up while
/// a key is parked, and how long a retry takes (some seconds).
pub const MAX_HELD_EVENTS: i64 = 10_000;

/// The most events that are tried again in one transaction: one by one, with the checkpoint locked, so this
/// bounds how long another worker waits (some tenths of a second).
const RETRY_EVENTS: i64 = 100;

/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 500;

/// An ordering key is parked as long as this holds for one of its letters. One that was given up counts until
/// its worker has seen to it: it is tried once more, before anything that comes after it.
const IS_OPEN: &str = "(status <> 'given_up' or retry)";

/// What a letter is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Where the event is in the journal.
    pub position: Position,
    /// What waits with it; none: the consumer as a whole.
    pub ordering_key: Option<&'a str>,
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: &'a str,
    /// The type of its aggregate.
    pub aggregate_type: &'a str,
    /// The id of its aggregate.
    pub aggregate_id: &'a str,
}

impl<'a> Subject<'a> {
    /// An event, and what waits with it.
    #[must_use]
    pub fn of(event: &'a RecordedEvent, ordering_key: Option<&'a str>) -> Self {
        Self {
            position: event.position,
            ordering_key,
            event_id: event.event_id,
            event_type: &event.event_type,
            aggregate_type: &event.aggregate_type,
            aggregate_id: &event.aggregate_id,
        }
    }
}

/// What became of an event that cannot be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLettered {
    /// Somebody gave it up before: it has no effect, and keeps nobody from going on.
    LeftOut,
    /// Its ordering key is parked.
    Parked,
    /// It has no ordering key, or there is no room for more: nothing after it may be taken in.
    Blocks,
}

/// Why a letter is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It could not be taken in.
    Failed,
    /// Somebody has decided that it has no effect.
    GivenUp,
}

/// A letter to try again.
#[derive(Debug, Clone, FromRow)]
pub struct Wanted {
    /// Where the event is.
    #[sqlx(try_from = "i64")]
    pub position: Position,
    /// What waits with it.
    #[sqlx(rename = "lane")]
    pub ordering_key: Option<String>,
}

/// The ordering keys that are parked, each with the number of its events that wait.
///
/// # Errors
/// When the database does not answer; so do all below.
pub async fn parked(
    conn: &mut PgConnection,
    consumer: &str,
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    let parked: Vec<(String, i64)> = sqlx::query_as(&format!(
        "select lane, count(*) from dead_letters \
         where consumer = $1 and lane is not null and {IS_OPEN} group by lane"
    ))
    .bind(consumer)
    .fetch_all(conn)
    .await?;
    Ok(parked.into_iter().collect())
}

/// Keeps events that wait behind others of their ordering keys.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(
    conn: &mut PgConnection,
    consumer: &str,
    held: &[Subject<'_>],
) -> Result<(), sqlx::Error> {
    if held.is_empty() {
        return Ok(());
    }
    // The letter of an event that the whole consumer stood before is there already.
    sqlx::query(
        "insert into dead_letters (consumer, position, lane, status, attempts, \
                                   event_id, event_type, aggregate_type, aggregate_id) \
         select $1, position, lane, 'waiting', 0, event_id, event_type, \
                aggregate_type, aggregate_id \
         from unnest($2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[]) \
           as held (position, lane, event_id, event_type, aggregate_type, aggregate_id) \
         on conflict (consumer, position) do update \
           set lane = excluded.lane, status = 'waiting', reason = null, retry = false",
    )
    .bind(consumer)
    .bind(held.iter().map(|subject| subject.position.bigint()).collect::<Vec<_>>())
    .bind(held.iter().map(|subject| subject.ordering_key).collect::<Vec<_>>())
    .bind(held.iter().map(|subject| subject.event_id).collect::<Vec<_>>())
    .bind(held.iter().map(|subject| subject.event_type).collect::<Vec<_>>())
    .bind(held.iter().map(|subject| subject.aggregate_type).collect::<Vec<_>>())
    .bind(held.iter().map(|subject| subject.aggregate_id).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Decides about an event that cannot be taken in, within the caller's transaction, and keeps the
/// letter that belongs to the decision. The caller moves the checkpoint past it, or, when it
/// [`DeadLettered::Blocks`], lets nothing pass.
///
/// # Errors
/// When the database does not answer.
pub async fn dead_letter(
    conn: &mut PgConnection,
    consumer: &str,
    subject: &Subject<'_>,
    reason: &str,
) -> Result<DeadLettered, sqlx::Error> {
    // Decisions of people are among the live letters, also for a rebuild.
    let given_up: bool = sqlx::query_scalar(
        "select exists (select from public.dead_letters \
         where consumer = $1 and position = $2 and status = 'given_up')",
    )
    .bind(consumer)
    .bind(subject.position.bigint())
    .fetch_one(&mut *conn)
    .await?;
    if given_up {
        keep(conn, consumer, subject, Kept::GivenUp, reason).await?;
        return Ok(DeadLettered::LeftOut);
    }
    let Some(ordering_key) = subject.ordering_key else { return Ok(DeadLettered::Blocks) };
    // An event of a parked key comes here only for want of room, or when it is tried again.
    let blocks: bool = sqlx::query_scalar(&format!(
        "select count(distinct lane) >= $3 or coalesce(bool_or(lane = $2), false) \
         from dead_letters where consumer = $1 and lane is not null and {IS_OPEN}"
    ))
    .bind(consumer)
    .bind(ordering_key)
    .bind(MAX_PARKED_KEYS)
    .fetch_one(&mut *conn)
    .await?;
    if blocks {
        return Ok(DeadLettered::Blocks);
    }
    keep(conn, consumer, subject, Kept::Failed, reason).await?;
    Ok(DeadLettered::Parked)
}

/// Keeps the letter of an event that could not be taken in; counts the attempt.
///
/// # Errors
/// When the database does not answer.
pub async fn keep(
    conn: &mut PgConnection,
    consumer: &str,
    subject: &Subject<'_>,
    kept: Kept,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let status = match kept {
        Kept::Failed => "failed",
        Kept::GivenUp => "given_up",
    };
    sqlx::query(
        "insert into dead_letters as known (consumer, position, lane, status, reason, \
                                            event_id, event_type, aggregate_type, aggregate_id) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         on conflict (consumer, position) do update \
           set lane = coalesce(excluded.lane, known.lane), status = excluded.status, \
               reason = excluded.reason, attempts = known.attempts + 1, last_at = now(), \
               retry = false",
    )
    .bind(consumer)
    .bind(subject.position.bigint())
    .bind(subject.ordering_key)
    .bind(status)
    .bind(reason.chars().take(MAX_REASON_CHARS).collect::<String>())
    .bind(subject.event_id)
    .bind(subject.event_type)
    .bind(subject.aggregate_type)
    .bind(subject.aggregate_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// The next events of the ordering keys for which another try was asked, in order.
///
/// # Errors
/// When the database does not answer.
pub async fn wanted(conn: &mut PgConnection, consumer: &str) -> Result<Vec<Wanted>, sqlx::Error> {
    sqlx::query_as(&format!(
        "select position, lane from dead_letters letter \
         where consumer = $1 and {IS_OPEN} and exists ( \
           select from dead_letters asked where asked.consumer = $1 and asked.retry \
             and asked.lane is not distinct from letter.lane) \
         order by position limit $2"
    ))
    .bind(consumer)
    .bind(RETRY_EVENTS)
    .fetch_all(conn)
    .await
}

/// Asks for another try of what a build before this one did not know: this one may know it. If not, that
/// costs one attempt for each start.
///
/// # Errors
/// When the database does not answer.
pub async fn ask_for_newer(conn: &mut PgConnection, consumer: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update dead_letters set retry = true \
         where consumer = $1 and status = 'failed' and position($2 in reason) > 0",
    )
    .bind(consumer)
    .bind(BEYOND_THIS_BUILD)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes away the letter of an event that has had its effect; not of one that waits for another key by now.
///
/// # Errors
/// When the database does not answer.
pub async fn remove(
    conn: &mut PgConnection,
    consumer: &str,
    wanted: &Wanted,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from dead_letters \
         where consumer = $1 and position = $2 and lane is not distinct from $3",
    )
    .bind(consumer)
    .bind(wanted.position.bigint())
    .bind(&wanted.ordering_key)
    .execute(conn)
    .await?;
    Ok(())
}

/// What becomes of a letter that failed again: it stays, and what comes after it, unless somebody had given it
/// up. Returns whether what comes after it may be tried.
///
/// # Errors
/// When the database does not answer.
pub async fn dead_letter_again(
    conn: &mut PgConnection,
    consumer: &str,
    subject: &Subject<'_>,
    wanted: &Wanted,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    match dead_letter(conn, consumer, subject, reason).await? {
        DeadLettered::LeftOut | DeadLettered::Parked => Ok(true),
        DeadLettered::Blocks => {
            // It waits for what it waited for: the consumer as a whole, perhaps.
            let asked = Subject { ordering_key: wanted.ordering_key.as_deref(), ..*subject };
            keep(conn, consumer, &asked, Kept::Failed, reason).await?;
            sqlx::query(
                "update dead_letters set retry = false \
                 where consumer = $1 and lane is not distinct from $2 and retry",
            )
            .bind(consumer)
            .bind(asked.ordering_key)
            .execute(conn)
            .await?;
            tracing::error!(
                consumer,
                event.position = subject.position.get(),
                reason,
                "an event was tried again and still cannot be taken in"
            );
            Ok(false)
        }
    }
}

/// Lets what there was no room for, or came meanwhile, be tried next: it waits behind nothing any more.
///
/// # Errors
/// When the database does not answer.
pub async fn go_on(conn: &mut PgConnection, consumer: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update dead_letters behind set retry = true \
         where consumer = $1 and status = 'waiting' and not retry and not exists ( \
           select from dead_letters head where head.consumer = $1 and head.lane = behind.lane \
             and head.status = 'failed')",
    )
    .bind(consumer)
    .execute(conn)
    .await?;
    Ok(())
}
