//! What became of each mail: the table `mails`.

use super::MailKind;
use sqlx::{PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

/// A mail that an event causes.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) event_id: Uuid,
    pub(super) position: u64,
    pub(super) order_id: Uuid,
    pub(super) kind: MailKind,
    pub(super) event_type: &'static str,
    pub(super) message_id: String,
}

/// The answer to asking for a mail's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It is ours to send.
    Ours {
        /// The how-manieth try this is, from 1.
        attempt: u64,
        /// How many of them were refusals for good.
        refusals: u64,
    },
    /// Somebody else is sending it.
    Taken {
        /// When their lease ends.
        ends_in: Duration,
    },
    /// It was sent, skipped or given up.
    Settled,
}

/// Takes the lease on a mail for a while, unless the mail is settled or somebody else has it.
pub(super) async fn lease(
    pool: &PgPool,
    mail: &Mail,
    duration: Duration,
) -> Result<Lease, sqlx::Error> {
    let ours: Option<(i32, i32)> = sqlx::query_as(
        "insert into mails (event_id, position, order_id, kind, state, lease_until, message_id)
         values ($1, $2, $3, $4, 'sending', clock_timestamp() + make_interval(secs => $5), $6)
         on conflict (event_id) do update
           set state = 'sending', lease_until = excluded.lease_until,
               attempts = mails.attempts + 1
           where mails.state in ('waiting', 'sending') and mails.lease_until <= clock_timestamp()
         returning attempts, refusals",
    )
    .bind(mail.event_id)
    .bind(i64::try_from(mail.position).unwrap_or(i64::MAX))
    .bind(mail.order_id)
    .bind(mail.kind.as_str())
    .bind(duration.as_secs_f64())
    .bind(&mail.message_id)
    .fetch_optional(pool)
    .await?;
    let count = |count: i32| u64::try_from(count).unwrap_or(0);
    match ours {
        Some((attempt, refusals)) => {
            Ok(Lease::Ours { attempt: count(attempt), refusals: count(refusals) })
        }
        None => refused(pool, mail.event_id).await,
    }
}

async fn refused(pool: &PgPool, event_id: Uuid) -> Result<Lease, sqlx::Error> {
    let row = sqlx::query(
        "select state in ('sent', 'skipped', 'failed') as settled,
                greatest(0, extract(epoch from lease_until - clock_timestamp())::float8) as ends_in
           from mails where event_id = $1",
    )
    .bind(event_id)
    .fetch_one(pool)
    .await?;
    if row.try_get("settled")? {
        return Ok(Lease::Settled);
    }
    let ends_in = Duration::try_from_secs_f64(row.try_get("ends_in")?).unwrap_or_default();
    Ok(Lease::Taken { ends_in })
}

/// The mail server has it. A fact, whoever holds the lease by now.
pub(super) async fn sent(pool: &PgPool, event_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update mails set state = 'sent', sent_at = clock_timestamp(), problem = null
          where event_id = $1 and state <> 'sent'",
    )
    .bind(event_id)
    .execute(pool)
    .await?;
    Ok(())
}

/// How a try ended that did not send the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// Nobody is to be told any more.
    Skipped,
    /// Nobody would take it; whoever is first may try again.
    NotNow,
    /// It was refused for good; whoever is first may try again.
    Refused,
    /// It was refused for good, and becomes a dead letter.
    Failed,
}

/// Ends the lease of a try without a mail. Does nothing when somebody else has taken it over.
pub(super) async fn unsent(
    pool: &PgPool,
    event_id: Uuid,
    attempt: u64,
    unsent: Unsent,
    problem: &str,
) -> Result<(), sqlx::Error> {
    let (state, refusals) = match unsent {
        Unsent::Skipped => ("skipped", 0),
        Unsent::NotNow => ("waiting", 0),
        Unsent::Refused => ("waiting", 1),
        Unsent::Failed => ("failed", 1),
    };
    sqlx::query(
        "update mails set state = $3, refusals = refusals + $4, problem = $5,
                          lease_until = clock_timestamp()
          where event_id = $1 and attempts = $2 and state = 'sending'",
    )
    .bind(event_id)
    .bind(i32::try_from(attempt).unwrap_or(i32::MAX))
    .bind(state)
    .bind(refusals)
    .bind(problem)
    .execute(pool)
    .await?;
    Ok(())
}
