//! The process manager that leaves no payment in the air.
//!
//! It follows the journal with a checkpoint of its own. `PaymentRequested` makes a row that is due
//! a little later; a settled payment removes it. Whatever is due is asked about at the provider
//! and recorded. Rows and checkpoint change in one transaction, the due times are on the
//! database's clock, and every step may be repeated: several processes and crashes do no harm.

use super::{PaymentProvider, ProviderAnswer, record};
use crate::bus::{Bus, Context};
use cqrs_es::Aggregate;
use domain::payment::{Payment, PaymentEvent};
use domain::{EventSource, RecordedEvent};
use sqlx::{PgPool, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
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

/// Events in one transaction.
const BATCH_EVENTS: usize = 500;

/// Payments asked about in one round.
const BATCH_PAYMENTS: i64 = 16;

/// The pause between rounds when nothing is due, and after a failed one.
const ROUND_PAUSE: Duration = Duration::from_millis(500);

/// Follows the journal and settles what is due until `cancel`.
pub async fn run(
    bus: Arc<Bus>,
    provider: Arc<impl PaymentProvider>,
    source: Arc<impl EventSource>,
    cancel: CancellationToken,
) {
    let pool = bus.journal().pool().clone();
    let follow = async {
        while !cancel.is_cancelled() {
            match follow_once(&pool, &*source).await {
                Ok(Some(position)) => {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = source.wait_after(position) => {}
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    pause(&cancel, "payment requests could not be followed", &error).await
                }
            }
        }
    };
    let settle = async {
        while !cancel.is_cancelled() {
            match settle_due(&bus, &*provider, &pool).await {
                Ok(0) => {
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(ROUND_PAUSE) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => pause(&cancel, "due payments could not be read", &error).await,
            }
        }
    };
    tokio::join!(follow, settle);
}

async fn pause(
    cancel: &CancellationToken,
    what: &'static str,
    error: &(dyn std::fmt::Display + Sync),
) {
    warn!(%error, "{what}");
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(ROUND_PAUSE) => {}
    }
}

/// Takes in the next events. `Some(position)` when there is nothing more to read for now.
async fn follow_once(
    pool: &PgPool,
    source: &impl EventSource,
) -> Result<Option<u64>, Box<dyn std::error::Error + Send + Sync>> {
    let position: Option<i64> =
        sqlx::query_scalar("select position from process_checkpoints where name = $1")
            .bind(PROCESS)
            .fetch_optional(pool)
            .await?;
    let before = position.unwrap_or(0);
    let after = u64::try_from(before).unwrap_or(0);
    let events = source.read_after(after, BATCH_EVENTS).await?;
    let Some(last) = events.last() else { return Ok(Some(after)) };
    let last = i64::try_from(last.position)?;

    let mut transaction = pool.begin().await?;
    let moved = sqlx::query(
        "insert into process_checkpoints (name, position) values ($1, $3) \
         on conflict (name) do update set position = $3 \
         where process_checkpoints.position = $2",
    )
    .bind(PROCESS)
    .bind(before)
    .bind(last)
    .execute(&mut *transaction)
    .await?;
    if moved.rows_affected() == 0 {
        // Another process took these events in.
        transaction.rollback().await?;
        return Ok(None);
    }
    for event in events.iter().filter(|event| event.aggregate_type == Payment::TYPE) {
        take_in(&mut transaction, event).await?;
    }
    transaction.commit().await?;
    Ok(None)
}

async fn take_in(
    connection: &mut sqlx::PgConnection,
    event: &RecordedEvent,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let payment_id: Uuid = event.aggregate_id.parse()?;
    match event.decode::<PaymentEvent>()? {
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
    Ok(())
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
                   s.requested_at < now() - make_interval(secs => $3) as give_up",
    )
    .bind(LONGEST_PAUSE_SECONDS)
    .bind(BATCH_PAYMENTS)
    .bind(GIVE_UP_SECONDS)
    .fetch_all(pool)
    .await?;
    for row in &due {
        let payment_id: Uuid = row.try_get("payment_id")?;
        let order_id: Uuid = row.try_get("order_id")?;
        let give_up: bool = row.try_get("give_up")?;
        let mut answer = provider.query(payment_id).await;
        if answer == ProviderAnswer::NotFound && give_up {
            answer = provider.cancel(payment_id).await;
        }
        // The query itself failing says nothing of the payment.
        if matches!(answer, ProviderAnswer::NoAnswer | ProviderAnswer::Unavailable) {
            continue;
        }
        let context = Context {
            actor: format!("system:{PROCESS}"),
            correlation_id: payment_id,
            causation_id: None,
            traceparent: None,
        };
        match record(bus, payment_id, order_id, answer, &context).await {
            Ok(()) => info!(payment.id = %payment_id, "a payment in the air was looked up"),
            Err(error) => {
                warn!(payment.id = %payment_id, %error, "a payment could not be recorded")
            }
        }
    }
    Ok(due.len())
}
