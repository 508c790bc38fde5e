//! The queue of mails, and what became of each: the table `mails`.

use super::MailKind;
use domain::Position;
use follow::patience::within;
use sqlx::{FromRow, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// A mail that an event causes.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) event_id: Uuid,
    pub(super) position: Position,
    /// The order or the user that it is about.
    pub(super) about: Uuid,
    pub(super) kind: MailKind,
    pub(super) message_id: String,
}

/// A mail that is ours to send until its lease ends.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) mail: Mail,
    /// The how-manieth try this is, from 1.
    pub(super) attempt: u64,
    /// How many of them were refusals for good.
    pub(super) refusals: u64,
    /// For how long its recipient's server has said "later".
    pub(super) soft_for: Duration,
}

impl Taken {
    /// Whether it was tried before.
    pub(super) fn is_again(&self) -> bool {
        self.attempt > 1
    }
}

/// Within what news that come again and again are told once, about the same thing.
const TOLD_ONCE_IN: Duration = Duration::from_secs(3600);

/// Puts a mail into the queue, unless it has been there. News that come again and again are told once within an hour;
/// whichever workers hear of them meet at the place that the thing has in that hour, as recipients have theirs.
pub(super) async fn enqueue(pool: &PgPool, mail: &Mail) -> Result<(), sqlx::Error> {
    let queued = sqlx::query(
        "with place as (
           insert into mails_of_an_hour as h (recipient, began_at, mails)
           select $4::text || '/' || ($3::uuid)::text, clock_timestamp(), 1
            where $7::boolean and not exists (select from mails where event_id = $1::uuid)
           on conflict (recipient) do update set began_at = clock_timestamp()
            where h.began_at <= clock_timestamp() - make_interval(secs => $6)
           returning recipient)
         insert into mails (event_id, position, order_id, kind, state, lease_until, message_id, attempts, problem)
         select $1, $2, $3::uuid, $4::text, case when is_told then 'skipped' else 'waiting' end, clock_timestamp(), $5, 0,
                case when is_told then 'told within the hour' end
           from (select $7::boolean and not exists (select from place) as is_told) as news
         on conflict (event_id) do nothing",
    )
    .bind(mail.event_id)
    .bind(mail.position.bigint())
    .bind(mail.about)
    .bind(mail.kind.as_str())
    .bind(&mail.message_id)
    .bind(TOLD_ONCE_IN.as_secs_f64())
    .bind(mail.kind.comes_again_and_again())
    .execute(pool);
    within(queued).await?;
    Ok(())
}

#[derive(FromRow)]
struct Row {
    event_id: Uuid,
    #[sqlx(try_from = "i64")]
    position: Position,
    // What the mail is about, an order or not: builds that know of nothing else read the column as well.
    #[sqlx(rename = "order_id")]
    about: Uuid,
    kind: String,
    message_id: String,
    attempts: i32,
    refusals: i32,
    soft_seconds: f64,
}

/// Takes the lease on mails that are due, at most so many: first those that nobody has tried, then those
/// that are tried again, of these at most so many, the oldest first. What another worker is taking is not waited for.
pub(super) async fn take(
    pool: &PgPool,
    most: usize,
    most_again: usize,
    lease: Duration,
) -> Result<Vec<Taken>, sqlx::Error> {
    let rows = sqlx::query_as(
        "with fresh as (
           select event_id from mails
            where state = 'waiting' and attempts = 0 and lease_until <= clock_timestamp()
            order by lease_until limit $1 for update skip locked),
         again as (
           select event_id from mails
            where state in ('waiting', 'sending') and attempts > 0
              and lease_until <= clock_timestamp()
            order by lease_until limit least($3, $1 - (select count(*) from fresh))
            for update skip locked)
         update mails set state = 'sending', attempts = attempts + 1,
                          lease_until = clock_timestamp() + make_interval(secs => $2)
          where event_id in (select event_id from fresh union all select event_id from again)
         returning event_id, position, order_id, kind, message_id, attempts, refusals,
                   coalesce(extract(epoch from clock_timestamp() - soft_since), 0)::float8
                     as soft_seconds",
    )
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .bind(lease.as_secs_f64())
    .bind(i64::try_from(most_again).unwrap_or(i64::MAX))
    .fetch_all(pool);
    let rows: Vec<Row> = within(rows).await?;
    let count = |count: i32| u64::try_from(count).unwrap_or(0);
    // A kind that this build does not know is a newer one's, which takes it when the lease is over.
    let taken = rows.into_iter().filter_map(|row| {
        let mail = Mail {
            event_id: row.event_id,
            position: row.position,
            about: row.about,
            kind: MailKind::named(&row.kind)?,
            message_id: row.message_id,
        };
        let soft_for = Duration::try_from_secs_f64(row.soft_seconds).unwrap_or_default();
        Some(Taken { mail, attempt: count(row.attempts), refusals: count(row.refusals), soft_for })
    });
    Ok(taken.collect())
}

/// The mail server has it. A fact, whoever holds the lease by now. A letter about it is answered.
pub(super) async fn sent(pool: &PgPool, event_id: Uuid) -> Result<(), sqlx::Error> {
    let recorded = sqlx::query(
        "with answered as (delete from dead_letters where consumer = 'notify' and event_id = $1)
         update mails set state = 'sent', sent_at = clock_timestamp(), problem = null, soft_since = null
          where event_id = $1 and state <> 'sent'",
    )
    .bind(event_id)
    .execute(pool);
    within(recorded).await?;
    Ok(())
}

/// How a try ended that did not send the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// Nobody is to be told any more.
    Skipped,
    /// Nobody would take it, which says nothing about this mail.
    NotNow,
    /// Its recipient's mailbox does not take it now.
    Soft,
    /// It was refused for good; it may have been the server's mistake.
    Refused,
    /// It becomes a dead letter.
    Failed,
}

/// Ends the lease of a try without a mail; it is due again after `pause`. Does nothing when somebody else
/// has taken it over.
pub(super) async fn unsent(
    pool: &PgPool,
    taken: &Taken,
    unsent: Unsent,
    problem: &str,
    pause: Duration,
) -> Result<(), sqlx::Error> {
    let (state, refusals) = match unsent {
        Unsent::Skipped => ("skipped", 0),
        Unsent::NotNow | Unsent::Soft => ("waiting", 0),
        Unsent::Refused => ("waiting", 1),
        Unsent::Failed => ("failed", 1),
    };
    let ended = sqlx::query(
        "with answered as (delete from dead_letters
                            where consumer = 'notify' and event_id = $1 and $3 = 'skipped')
         update mails set state = $3, refusals = refusals + $4, problem = $5,
                          lease_until = clock_timestamp() + make_interval(secs => $6),
                          soft_since = case when $7 then coalesce(soft_since, clock_timestamp())
                                            else soft_since end
          where event_id = $1 and attempts = $2 and state = 'sending'",
    )
    .bind(taken.mail.event_id)
    .bind(i32::try_from(taken.attempt).unwrap_or(i32::MAX))
    .bind(state)
    .bind(refusals)
    .bind(problem)
    .bind(pause.as_secs_f64())
    .bind(unsent == Unsent::Soft)
    .execute(pool);
    within(ended).await?;
    Ok(())
}

/// What is to be sent: how many mails, and for how long the oldest of them has waited.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting_mails(pool: &PgPool) -> Result<(u64, Duration), sqlx::Error> {
    let counted = sqlx::query_as(
        "select count(*), coalesce(max(extract(epoch from clock_timestamp() - queued_at)), 0)::float8
           from mails where state in ('waiting', 'sending')",
    )
    .fetch_one(pool);
    let (waiting, oldest): (i64, f64) = within(counted).await?;
    Ok((waiting.unsigned_abs(), Duration::try_from_secs_f64(oldest).unwrap_or_default()))
}
