//! Mails that no server would take, as dead letters: each waits by itself.

use super::ledger::Mail;
use crate::consumer::{Delivery, Handler};
use crate::public_event::PublicEvent;
use domain::EventSource;
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The notifier's name among the dead letters.
const CONSUMER: &str = "notify";

/// How often letters are looked for that somebody wants to be tried again, and how long a mail waits
/// that is tried again and not taken.
const RETRY_POLL: Duration = Duration::from_secs(1);

/// How long one look may take, with all its mails.
const ROUND_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The most letters of one look.
const RETRY_MAILS: i64 = 16;

/// Keeps the event whose mail nobody takes.
pub(super) async fn keep(pool: &PgPool, mail: &Mail, problem: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into dead_letters as known (consumer, position, lane, status, reason, event_id, \
                                            event_type, aggregate_type, aggregate_id) \
         values ($1, $2, 'mail/' || $3::text, 'failed', $4, $3, $5, 'order', $6) \
         on conflict (consumer, position) do update \
           set reason = excluded.reason, attempts = known.attempts + 1, last_at = now(), \
               retry = false",
    )
    .bind(CONSUMER)
    .bind(mail.position.cast_signed())
    .bind(mail.event_id)
    .bind(problem)
    .bind(mail.event_type)
    .bind(mail.order_id.to_string())
    .execute(pool)
    .await?;
    Ok(())
}

/// Offers mails again for which somebody asked that, until `stop`. A letter goes when its mail was
/// sent; until then a crash only means that it is offered once more, under the same lease as ever.
pub(super) async fn try_again(
    handler: &impl Handler,
    pool: &PgPool,
    source: &impl EventSource,
    stop: &CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(RETRY_POLL)).await.is_some() {
        // A mail of each may be waited for as long as its lease.
        let round = async {
            let tried = tokio::time::timeout(ROUND_PATIENCE, try_wanted(handler, pool, source));
            tried.await.unwrap_or_else(|late| Err(late.into()))
        };
        if let Some(Err(error)) = stop.run_until_cancelled(round).await {
            tracing::warn!(%error, "dead letters of mails could not be tried again");
        }
    }
}

async fn try_wanted(
    handler: &impl Handler,
    pool: &PgPool,
    source: &impl EventSource,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // A mail that was given up is not offered any more; the letter is its record.
    let wanted: Vec<(i64, Uuid, bool)> = sqlx::query_as(
        "update dead_letters set retry = (status <> 'given_up') \
         where (consumer, position) in (select consumer, position from dead_letters \
                                        where consumer = $1 and retry order by position limit $2) \
         returning position, event_id, status = 'given_up'",
    )
    .bind(CONSUMER)
    .bind(RETRY_MAILS)
    .fetch_all(pool)
    .await?;
    for (position, event_id, _) in wanted.into_iter().filter(|(_, _, given_up)| !given_up) {
        // Its refusals are not forgotten, so that it is offered once and not eight times more.
        sqlx::query(
            "update mails set state = 'waiting', lease_until = clock_timestamp() \
             where event_id = $1 and state = 'failed'",
        )
        .bind(event_id)
        .execute(pool)
        .await?;
        let event = source.event_at(u64::try_from(position)?).await?;
        let event = event.ok_or("the journal lacks the event of a dead letter")?;
        let event = PublicEvent::try_from(&*event)?;
        handler.handle(&Delivery { event, delivered: 1 }).await;
        sqlx::query(
            "delete from dead_letters letter using mails \
             where letter.consumer = $1 and letter.position = $2 \
               and mails.event_id = letter.event_id and mails.state in ('sent', 'skipped')",
        )
        .bind(CONSUMER)
        .bind(position)
        .execute(pool)
        .await?;
    }
    Ok(())
}
