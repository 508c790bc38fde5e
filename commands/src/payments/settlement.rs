//! The process manager that leaves no payment in the air.
//!
//! It follows the journal with a checkpoint of its own. `PaymentRequested` makes a row that is due
//! a little later; a settled payment removes it. Whatever is due is asked about at the provider
//! and recorded. Rows and checkpoint change in one transaction, the due times are on the
//! database's clock, and every step may be repeated: several processes and crashes do no harm.

use super::record::record_failed;
use super::{PaymentProvider, ProviderAnswer, letters, record};
use crate::bus::{Bus, Context};
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::payment::{Payment, PaymentEvent};
use domain::{Cursor, EventSource, RecordedEvent, SourceError};
use sqlx::{PgPool, Row};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

const PROCESS: &str = "payment_settlement";

/// When a payment is first asked about, in seconds after its request: most are settled by the
/// request itself long before.
const FIRST_LOOK_SECONDS: f64 = 2.0;

/// The longest pause between two looks at the same payment.
const LONGEST_PAUSE_SECONDS: f64 = 60.0;

/// After this many seconds a payment that the provider has never heard of is called off there, so
/// that it can never be charged. Far longer than a call to the provider may take.
const GIVE_UP_SECONDS: f64 = 30.0;

/// After this many seconds a payment that is still open at the provider is called off there: the
/// customer has left the page, or the provider has forgotten what it took. As long as an order can
/// be paid at all, and longer than any bank lets a confirmation wait.
const OPEN_SECONDS: f64 = 15.0 * 60.0;

/// After this many seconds a payment that the provider says nothing final about has failed: a day,
/// so that an outage of the provider, or of our way there, ends none.
const SILENT_SECONDS: f64 = 24.0 * 3600.0;

/// The code of a payment that failed because of that.
const PROVIDER_SILENT: &str = "provider_silent";

/// Events in one transaction.
const BATCH_EVENTS: usize = 500;

/// Payments asked about in one round.
const BATCH_PAYMENTS: i64 = 16;

/// The pause between rounds when nothing is due, and after a failed one; it doubles while rounds
/// fail.
const ROUND_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after failed rounds.
const LONGEST_ROUND_PAUSE: Duration = Duration::from_secs(30);

/// How long taking in one batch may take.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(30);

/// How long one round may take: each of its payments may be waited for at the provider, twice.
const SETTLE_PATIENCE: Duration = Duration::from_secs(300);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Follows the journal and settles what is due until `cancel`.
pub async fn run(
    bus: Arc<Bus>,
    provider: Arc<impl PaymentProvider>,
    source: Arc<impl EventSource>,
    cancel: CancellationToken,
) {
    let pool = bus.journal().pool().clone();
    let follow = async {
        let mut failures = 0;
        let mut asked = false;
        while !cancel.is_cancelled() {
            let followed = within(FOLLOW_PATIENCE, async {
                if !asked {
                    letters::ask_for_newer(&pool).await?;
                    asked = true;
                }
                follow_once(&pool, &*source).await
            });
            let followed = followed.await;
            failures = if followed.is_err() { failures + 1 } else { 0 };
            match followed {
                Ok(Some(position)) => {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = source.wait_after(position) => {}
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let what = "payment requests could not be followed";
                    pause(&cancel, failures, what, &error).await
                }
            }
        }
    };
    let settle = async {
        while !cancel.is_cancelled() {
            match within(SETTLE_PATIENCE, settle_due(&bus, &*provider, &pool)).await {
                Ok(0) => {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(ROUND_PAUSE) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => pause(&cancel, 1, "due payments could not be read", &error).await,
            }
        }
    };
    tokio::join!(follow, settle);
}

/// What is late is dropped with its connection, which may have died without a word.
async fn within<T, E: Into<Failure>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(late) => Err(late.into()),
    }
}

async fn pause(
    cancel: &CancellationToken,
    failures: u32,
    what: &'static str,
    error: &(dyn std::fmt::Display + Sync),
) {
    warn!(%error, "{what}");
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(round_pause(failures)) => {}
    }
}

fn round_pause(failures: u32) -> Duration {
    ROUND_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_ROUND_PAUSE)
}

/// Takes in the next events. `Some(position)` when there is nothing more to read for now.
async fn follow_once(pool: &PgPool, source: &impl EventSource) -> Result<Option<u64>, Failure> {
    let (position, event_id, retry): (Option<i64>, Option<Uuid>, bool) = sqlx::query_as(
        "select c.position, case when c.event_position = c.position then c.event_id end, \
                exists (select from dead_letters where consumer = 'settlement' and retry) \
         from (select) one left join process_checkpoints c on c.name = $1",
    )
    .bind(PROCESS)
    .fetch_one(pool)
    .await?;
    if retry {
        try_again(pool, source).await?;
    }
    let position = u64::try_from(position.unwrap_or(0)).unwrap_or(0);
    let cursor = Cursor { position, event_id };
    let events = match source.read_after(cursor, BATCH_EVENTS).await {
        Err(SourceError::OtherHistory(_)) => {
            begin_anew(pool, cursor).await?;
            return Ok(None);
        }
        read => read?,
    };
    let Some(last) = events.last() else { return Ok(Some(position)) };

    let mut transaction = pool.begin().await?;
    if !move_checkpoint(&mut transaction, cursor, Cursor::behind(last)).await? {
        // Another process took these events in, or they are of a history that is gone.
        transaction.rollback().await?;
        return Ok(None);
    }
    let payments: Vec<_> =
        events.iter().filter(|event| event.aggregate_type == Payment::TYPE).collect();
    let mut parked = BTreeSet::new();
    if !payments.is_empty() {
        parked = letters::parked(&mut transaction).await?;
    }
    for event in payments {
        if parked.contains(&event.aggregate_id) {
            letters::keep(&mut transaction, event, None).await?;
        } else if let Err(reason) = take_in(&mut transaction, event).await? {
            letters::keep(&mut transaction, event, Some(&reason)).await?;
            parked.insert(event.aggregate_id.clone());
        }
    }
    transaction.commit().await?;
    Ok(None)
}

/// Moves the checkpoint, if it still is where this process believes and the journal of this database
/// has the event that it moves behind; both are told by the transaction that the effects are in.
async fn move_checkpoint(
    connection: &mut sqlx::PgConnection,
    from: Cursor,
    to: Cursor,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query(
        "insert into process_checkpoints (name, position, event_position, event_id) \
         select $1, $4, $4, $5 where exists \
           (select from events where position = $4 and ($5::uuid is null or event_id = $5)) \
         on conflict (name) do update \
         set position = $4, event_position = $4, event_id = excluded.event_id \
         where process_checkpoints.position = $2 \
           and case when process_checkpoints.event_position = $2 \
                    then process_checkpoints.event_id end is not distinct from $3",
    )
    .bind(PROCESS)
    .bind(signed(from.position))
    .bind(from.event_id)
    .bind(signed(to.position))
    .bind(to.event_id)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// The journal has another event where this process stood, or none: whatever was due because of events
/// that are gone goes, and the journal is followed from its first event again. Each step may be
/// repeated, so that only costs time.
async fn begin_anew(pool: &PgPool, cursor: Cursor) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let gone = sqlx::query(
        "delete from process_checkpoints where name = $1 and position = $2 \
           and case when event_position = position then event_id end is not distinct from $3",
    )
    .bind(PROCESS)
    .bind(signed(cursor.position))
    .bind(cursor.event_id)
    .execute(&mut *transaction)
    .await?;
    if gone.rows_affected() == 1 {
        // Payments that were settled by events that are gone come back with their request.
        sqlx::query("delete from payment_settlements").execute(&mut *transaction).await?;
        sqlx::query(
            "delete from dead_letters l where l.consumer = 'settlement' and not exists \
               (select from events e where e.position = l.position and e.event_id = l.event_id)",
        )
        .execute(&mut *transaction)
        .await?;
        warn!(
            event.position = cursor.position,
            "the journal tells another history: payments are followed anew from its first event"
        );
    }
    transaction.commit().await
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// Tries dead letters again for which somebody asked that, in order.
async fn try_again(pool: &PgPool, source: &impl EventSource) -> Result<(), Failure> {
    let mut transaction = pool.begin().await?;
    // Nobody takes events in meanwhile, nor tries the same ones.
    sqlx::query("select from process_checkpoints where name = $1 for update")
        .bind(PROCESS)
        .execute(&mut *transaction)
        .await?;
    let mut failed = BTreeSet::new();
    for wanted in letters::wanted(&mut transaction).await? {
        if failed.contains(&wanted.lane) {
            continue;
        }
        let event = source.event_at(u64::try_from(wanted.position)?).await?;
        let event = event.ok_or("the journal lacks the event of a dead letter")?;
        match take_in(&mut transaction, &event).await? {
            Ok(()) => letters::remove(&mut transaction, &wanted).await?,
            Err(reason) => {
                if !letters::failed(&mut transaction, &wanted, &reason).await? {
                    failed.insert(wanted.lane);
                }
            }
        }
    }
    letters::go_on(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives the event its effect; the inner error says why it cannot be read, and trying again would
/// not help. Nothing has changed then.
async fn take_in(
    connection: &mut sqlx::PgConnection,
    event: &RecordedEvent,
) -> Result<Result<(), String>, sqlx::Error> {
    let Ok(payment_id) = event.aggregate_id.parse::<Uuid>() else {
        return Ok(Err("the id of this payment is not a UUID".to_owned()));
    };
    let fact = match event.decode::<PaymentEvent>() {
        Ok(fact) => fact,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match fact {
        PaymentEvent::PaymentRequested { order_id, .. } => {
            sqlx::query(
                "insert into payment_settlements (payment_id, order_id, requested_at, due_at) \
                 values ($1, $2, $3, $3 + make_interval(secs => $4)) on conflict do nothing",
            )
            .bind(payment_id)
            .bind(order_id)
            .bind(event.recorded_at)
            .bind(FIRST_LOOK_SECONDS)
            .execute(connection)
            .await?;
        }
        PaymentEvent::PaymentCaptured { .. }
        | PaymentEvent::PaymentCaptureUnreadable { .. }
        | PaymentEvent::PaymentDeclined { .. }
        | PaymentEvent::PaymentFailed { .. }
        | PaymentEvent::PaymentVoided {}
        | PaymentEvent::PaymentOrphaned { .. } => {
            sqlx::query("delete from payment_settlements where payment_id = $1")
                .bind(payment_id)
                .execute(connection)
                .await?;
        }
        PaymentEvent::PaymentActionRequired { .. }
        | PaymentEvent::PaymentAuthorized {}
        | PaymentEvent::PaymentOutcomeUnknown {} => {}
    }
    Ok(Ok(()))
}

/// Whether the payment can still become anything, as far as this answer tells.
fn is_open(answer: &ProviderAnswer) -> bool {
    match answer {
        ProviderAnswer::Authorized
        | ProviderAnswer::ActionRequired { .. }
        | ProviderAnswer::Pending
        | ProviderAnswer::NotFound
        | ProviderAnswer::NoAnswer
        | ProviderAnswer::Unavailable => true,
        ProviderAnswer::Captured { .. }
        | ProviderAnswer::CapturedUnreadable { .. }
        | ProviderAnswer::Declined { .. }
        | ProviderAnswer::Voided => false,
    }
}

/// Whether nobody waits for an open payment any longer, so that it is called off.
fn is_given_up(answer: &ProviderAnswer, age_seconds: f64) -> bool {
    let patience_seconds = match answer {
        ProviderAnswer::NotFound => GIVE_UP_SECONDS,
        _ => OPEN_SECONDS,
    };
    age_seconds >= patience_seconds
}

/// Asks about what is due and records the answers; how many there were.
async fn settle_due(
    bus: &Bus,
    provider: &impl PaymentProvider,
    pool: &PgPool,
) -> Result<usize, sqlx::Error> {
    // Taking a payment pushes its next look away, so that another process does not ask as well and
    // a crash in here only delays it.
    let due = sqlx::query(
        "update payment_settlements s \
         set attempts = s.attempts + 1, \
             due_at = now() + make_interval(secs => least($1, power(2, least(s.attempts, 10)))) \
         where s.payment_id in (select payment_id from payment_settlements where due_at <= now() \
                                order by due_at limit $2 for update skip locked) \
         returning s.payment_id, s.order_id, \
                   extract(epoch from now() - s.requested_at)::float8 as age_seconds",
    )
    .bind(LONGEST_PAUSE_SECONDS)
    .bind(BATCH_PAYMENTS)
    .fetch_all(pool)
    .await?;
    for row in &due {
        let payment_id: Uuid = row.try_get("payment_id")?;
        let order_id: Uuid = row.try_get("order_id")?;
        let age_seconds: f64 = row.try_get("age_seconds")?;
        let order = match bus.load::<Order>(&order_id.to_string()).await {
            Ok(order) => order.state,
            Err(error) => {
                warn!(payment.id = %payment_id, %error, "the order of a payment cannot be read");
                continue;
            }
        };
        // Money from it could only go back.
        let unwanted = order.paid_by.is_some_and(|paid_by| paid_by != payment_id);
        let mut answer = provider.query(payment_id).await;
        if is_open(&answer) && (unwanted || is_given_up(&answer, age_seconds)) {
            answer = provider.cancel(payment_id).await;
        }
        let context = Context {
            actor: format!("system:{PROCESS}"),
            correlation_id: payment_id,
            causation_id: None,
            traceparent: None,
        };
        let recorded = if is_open(&answer) && age_seconds >= SILENT_SECONDS {
            error!(
                payment.id = %payment_id, order.id = %order_id,
                "the provider has said nothing final about a payment for a day: look it up there"
            );
            record_failed(bus, payment_id, order_id, PROVIDER_SILENT, &context).await
        } else if matches!(answer, ProviderAnswer::NoAnswer | ProviderAnswer::Unavailable) {
            // The question itself failing says nothing of the payment.
            continue;
        } else {
            record(bus, payment_id, order_id, answer, &context).await
        };
        match recorded {
            Ok(()) => info!(payment.id = %payment_id, "a payment in the air was looked up"),
            Err(error) => {
                warn!(payment.id = %payment_id, %error, "a payment could not be recorded")
            }
        }
    }
    Ok(due.len())
}
