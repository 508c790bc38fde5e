//! Events that a process cannot take in, as dead letters: later events of the same ordering key wait, those of
//! others go on.

use domain::{BEYOND_THIS_BUILD, RecordedEvent};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;

/// The most events that are tried again in one transaction, with the checkpoint locked.
const RETRY_EVENTS: i64 = 100;

/// An event to try again.
pub(super) struct Wanted {
    pub(super) position: i64,
    pub(super) ordering_key: String,
    given_up: bool,
}

/// The ordering keys whose events have to wait.
pub(super) async fn parked(
    conn: &mut PgConnection,
    process: &str,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "select distinct lane from dead_letters \
         where consumer = $1 and lane is not null and (status <> 'given_up' or retry)",
    )
    .bind(process)
    .fetch_all(conn)
    .await?;
    Ok(keys.into_iter().collect())
}

/// Keeps an event that cannot be taken in, for `reason`, or that waits behind one, for none.
pub(super) async fn keep(
    conn: &mut PgConnection,
    process: &str,
    event: &RecordedEvent,
    ordering_key: &str,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    if let Some(reason) = reason {
        tracing::error!(
            process.name = process,
            event.position = event.position,
            ordering_key,
            reason,
            "a process cannot take an event in: it is a dead letter, and what comes after it waits"
        );
    }
    sqlx::query(
        "insert into dead_letters (consumer, position, lane, status, reason, attempts, \
                                   event_id, event_type, aggregate_type, aggregate_id) \
         values ($1, $2, $3, case when $4::text is null then 'waiting' else 'failed' end, $4, \
                 case when $4::text is null then 0 else 1 end, $5, $6, $7, $8)",
    )
    .bind(process)
    .bind(event.position.cast_signed())
    .bind(ordering_key)
    .bind(reason)
    .bind(event.event_id)
    .bind(&event.event_type)
    .bind(&event.aggregate_type)
    .bind(&event.aggregate_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// The next events of the ordering keys for which another try was asked, in order.
pub(super) async fn wanted(
    conn: &mut PgConnection,
    process: &str,
) -> Result<Vec<Wanted>, sqlx::Error> {
    let wanted: Vec<(i64, String, bool)> = sqlx::query_as(
        "select position, lane, status = 'given_up' from dead_letters letter \
         where consumer = $1 and (status <> 'given_up' or retry) and exists ( \
           select from dead_letters asked \
           where asked.consumer = $1 and asked.retry and asked.lane = letter.lane) \
         order by position limit $2",
    )
    .bind(process)
    .bind(RETRY_EVENTS)
    .fetch_all(conn)
    .await?;
    let wanted = wanted.into_iter();
    Ok(wanted
        .map(|(position, ordering_key, given_up)| Wanted { position, ordering_key, given_up })
        .collect())
}

/// Asks for another try of what a build before this one did not know: this one may know it.
pub(super) async fn ask_for_newer(pool: &PgPool, process: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update dead_letters set retry = true \
         where consumer = $1 and status = 'failed' and position($2 in reason) > 0",
    )
    .bind(process)
    .bind(BEYOND_THIS_BUILD)
    .execute(pool)
    .await?;
    Ok(())
}

/// The event had its effect.
pub(super) async fn remove(
    conn: &mut PgConnection,
    process: &str,
    wanted: &Wanted,
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from dead_letters where consumer = $1 and position = $2")
        .bind(process)
        .bind(wanted.position)
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets what there was no room for be tried next: it waits behind nothing any more.
pub(super) async fn go_on(conn: &mut PgConnection, process: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update dead_letters behind set retry = true \
         where consumer = $1 and status = 'waiting' and not retry and not exists ( \
           select from dead_letters head where head.consumer = $1 and head.lane = behind.lane \
             and head.status = 'failed')",
    )
    .bind(process)
    .execute(conn)
    .await?;
    Ok(())
}

/// The event failed again. Returns whether what comes after it may be tried: only when it was
/// given up.
pub(super) async fn failed(
    conn: &mut PgConnection,
    process: &str,
    wanted: &Wanted,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "update dead_letters set retry = false, reason = $3, attempts = attempts + 1, \
           last_at = now(), status = case when status = 'given_up' then status else 'failed' end \
         where consumer = $1 and position = $2",
    )
    .bind(process)
    .bind(wanted.position)
    .bind(reason)
    .execute(&mut *conn)
    .await?;
    if !wanted.given_up {
        sqlx::query("update dead_letters set retry = false where consumer = $1 and lane = $2")
            .bind(process)
            .bind(&wanted.ordering_key)
            .execute(conn)
            .await?;
    }
    Ok(wanted.given_up)
}
