//! The process manager that leaves no payment in the air.
//!
//! `PaymentRequested` sets a timer, a settled payment clears it. When it is due the provider is asked, and its
//! answer recorded.

use super::record::record_failed;
use super::{PaymentProvider, ProviderAnswer, record};
use crate::bus::{Bus, Context};
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::payment::{Payment, PaymentEvent};
use domain::{EventSource, OrderId, PaymentId, RecordedEvent};
use follow::process::{self, Change, Next, Process, Timer};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Its name among checkpoints, timers, dead letters and tasks.
pub const NAME: &str = "settlement";

/// When a payment is first asked about, after its request: most are settled by the request itself long
/// before.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The pauses between looks at the same payment: the first, doubling, to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// After this time a payment that the provider has never heard of is called off there, so that it can never
/// be charged. Far longer than a call to the provider may take.
const GIVE_UP: Duration = Duration::from_secs(30);

/// After this time a payment that is still open at the provider is called off there: the customer has left
/// the page, or the provider has forgotten what it took. As long as an order can be paid at all, and longer
/// than any bank lets a confirmation wait.
const OPEN: Duration = Duration::from_secs(15 * 60);

/// After this time a payment that the provider says nothing final about has failed: a day, so that an outage
/// of the provider, or of our way there, ends none.
const SILENT: Duration = Duration::from_secs(24 * 3600);

/// The code of a payment that failed because of that.
const PROVIDER_SILENT: &str = "provider_silent";

/// Follows the journal and settles what is due until `cancel`.
pub async fn run(
    bus: Arc<Bus>,
    provider: Arc<impl PaymentProvider>,
    source: Arc<impl EventSource>,
    cancel: CancellationToken,
) {
    let pool = bus.journal().pool().clone();
    process::run(Arc::new(Settlement { bus, provider }), pool, source, cancel).await;
}

struct Settlement<P> {
    bus: Arc<Bus>,
    provider: Arc<P>,
}

impl<P: PaymentProvider> Process for Settlement<P> {
    const NAME: &'static str = NAME;
    const READS: &'static [&'static str] = &[Payment::TYPE];
    /// A payment may be waited for at the provider twice.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn take(&self, event: &RecordedEvent) -> Result<Vec<Change>, String> {
        let key = event.aggregate_id.clone();
        key.parse::<PaymentId>().map_err(|_| "the id of this payment is not a UUID".to_owned())?;
        let fact = event.decode::<PaymentEvent>().map_err(|error| error.to_string())?;
        Ok(match fact {
            PaymentEvent::PaymentRequested { order_id, .. } => {
                vec![Change::Set { key, after: FIRST_LOOK, data: json!({ "order_id": order_id }) }]
            }
            PaymentEvent::PaymentCaptured { .. }
            | PaymentEvent::PaymentCaptureUnreadable { .. }
            | PaymentEvent::PaymentDeclined { .. }
            | PaymentEvent::PaymentFailed { .. }
            | PaymentEvent::PaymentVoided {}
            | PaymentEvent::PaymentOrphaned { .. } => vec![Change::Clear { key }],
            PaymentEvent::PaymentActionRequired { .. }
            | PaymentEvent::PaymentAuthorized {}
            | PaymentEvent::PaymentOutcomeUnknown {} => vec![],
        })
    }

    async fn due(&self, timer: &Timer) -> Next {
        let again = Next::Again(timer.back_off(FIRST_PAUSE, LONGEST_PAUSE));
        let order_id = timer.data["order_id"].as_str().and_then(|id| id.parse().ok());
        if let (Ok(payment_id), Some(order_id)) = (timer.key.parse(), order_id) {
            self.look_up(payment_id, order_id, timer.age()).await;
        } else {
            error!(payment.id = timer.key, "a timer of settlement cannot be read");
        }
        // The event that says how it ended clears the timer.
        again
    }
}

impl<P: PaymentProvider> Settlement<P> {
    /// Asks about a payment and records the answer.
    async fn look_up(&self, payment_id: PaymentId, order_id: OrderId, age: Duration) {
        let order = match self.bus.load::<Order>(&order_id).await {
            Ok(order) => order.state,
            Err(error) => {
                warn!(payment.id = %payment_id, %error, "the order of a payment cannot be read");
                return;
            }
        };
        // Money from it could only go back.
        let unwanted = order.paid_by.is_some_and(|paid_by| paid_by != payment_id);
        let mut answer = self.provider.query(payment_id).await;
        if is_open(&answer) && (unwanted || is_given_up(&answer, age)) {
            answer = self.provider.cancel(payment_id).await;
        }
        let context = Context {
            actor: "system:payment_settlement".to_owned(),
            correlation_id: payment_id.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let recorded = if is_open(&answer) && age >= SILENT {
            error!(
                payment.id = %payment_id, order.id = %order_id,
                "the provider has said nothing final about a payment for a day: look it up there"
            );
            record_failed(&self.bus, payment_id, order_id, PROVIDER_SILENT, &context).await
        } else if matches!(answer, ProviderAnswer::NoAnswer | ProviderAnswer::Unavailable) {
            // The question itself failing says nothing of the payment.
            return;
        } else {
            record(&self.bus, payment_id, order_id, answer, &context).await
        };
        match recorded {
            Ok(()) => info!(payment.id = %payment_id, "a payment in the air was looked up"),
            Err(error) => {
                warn!(payment.id = %payment_id, %error, "a payment could not be recorded")
            }
        }
    }
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
fn is_given_up(answer: &ProviderAnswer, age: Duration) -> bool {
    let patience = match answer {
        ProviderAnswer::NotFound => GIVE_UP,
        _ => OPEN,
    };
    age >= patience
}
