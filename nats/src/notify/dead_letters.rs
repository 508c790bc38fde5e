//! Mails that no server would take, as dead letters: each waits by itself.

use super::ledger::Mail;
use follow::dead_letters::{self, Kept, Subject};
use follow::patience::within;
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The notifier's name among the dead letters.
const CONSUMER: &str = "notify";

/// How often letters are looked for that somebody wants to be tried again.
const RETRY_POLL: Duration = Duration::from_secs(1);

/// The most letters of one look.
const RETRY_MAILS: i64 = 16;

/// Keeps the event whose mail nobody takes.
pub(super) async fn keep(pool: &PgPool, mail: &Mail, problem: &str) -> Result<(), sqlx::Error> {
    let (ordering_key, about) = (format!("mail/{}", mail.event_id), mail.about.to_string());
    let (aggregate_type, event_type) = mail.kind.event();
    let subject = Subject {
        position: mail.position,
        ordering_key: Some(&ordering_key),
        event_id: mail.event_id,
        event_type,
        aggregate_type,
        aggregate_id: &about,
    };
    let mut conn = pool.acquire().await?;
    dead_letters::keep(&mut conn, CONSUMER, &subject, Kept::Failed, problem).await
}

/// Puts mails into the queue again for which somebody asked that, until `stop`. A letter goes when its mail
/// was sent; one that is refused once more stays.
pub(super) async fn try_again(pool: &PgPool, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(RETRY_POLL)).await.is_some() {
        let round = within(queue_wanted(pool));
        if let Some(Err(error)) = stop.run_until_cancelled(round).await {
            tracing::warn!(%error, "dead letters of mails could not be tried again");
        }
    }
}

async fn queue_wanted(pool: &PgPool) -> Result<(), sqlx::Error> {
    // A mail that was given up is not offered any more; the letter is its record. The refusals of the
    // others are not forgotten, so that each is offered once and not eight times more.
    sqlx::query(
        "with wanted as (
           update dead_letters set retry = false
            where (consumer, position) in (select consumer, position from dead_letters
                                            where consumer = $1 and retry and status = 'given_up'
                                            order by position limit $2))
         update mails set state = 'waiting', lease_until = clock_timestamp(), soft_since = null
          where state = 'failed' and event_id in (select event_id from dead_letters
                                                   where consumer = $1 and retry
                                                     and status <> 'given_up'
                                                   order by position limit $2)",
    )
    .bind(CONSUMER)
    .bind(RETRY_MAILS)
    .execute(pool)
    .await?;
    Ok(())
}
