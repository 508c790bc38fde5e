//! Paying an order, and hearing from the provider.

use super::{App, Call, Declines, Failure, Payer};
use commands::bus::{Context, Loaded};
use commands::payments::{self, Attempt, Charge, ProviderAnswer};
use domain::order::Order;
use domain::payment::{Payment, PaymentStatus};
use domain::{OrderId, PaymentId, Position, UserId};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a call that pays waits for the outcome; after that the payment is `pending`.
const WAIT_FOR_OUTCOME: Duration = Duration::from_secs(10);

/// How often is looked meanwhile whether somebody else has recorded it.
const OUTCOME_POLL: Duration = Duration::from_millis(100);

/// What somebody pays with.
#[derive(Clone)]
pub struct Instrument {
    /// The kind of payment as events name it.
    pub method: &'static str,
    /// The provider's token, never the card itself.
    pub token: String,
}

impl fmt::Debug for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instrument({}, …)", self.method)
    }
}

/// A payment after its provider was asked.
pub struct Asked {
    /// Which one.
    pub payment_id: PaymentId,
    /// How it stands.
    pub payment: Loaded<Payment>,
    /// Where its last event is.
    pub position: Position,
}

/// A payment that somebody asked for.
pub struct Paid {
    /// How it stands.
    pub asked: Asked,
    /// The position to wait for.
    pub position: Position,
    /// Whether this had been done before, under the same key.
    pub replayed: bool,
}

/// Pays an order of `member_id`, who is at `from` (none for load generators). A decline is an outcome: the order stays payable. A payment that waits for
/// the customer to confirm it is called off first. A caller who leaves cuts nothing off.
///
/// # Errors
/// [`Failure::NotFound`] when the order is not theirs, [`Failure::InProgress`] while the same call is being
/// worked on, [`Failure::TooManyDeclines`]; what the order refuses.
///
/// # Panics
/// Without a key, which no edge may let through.
pub async fn pay(
    app: Arc<App>,
    call: Call,
    member_id: UserId,
    order_id: OrderId,
    from: Option<IpAddr>,
    instrument: Instrument,
) -> Result<Paid, Failure> {
    let key = call.key.expect("a payment has a key");
    let in_flight = app.in_flight.clone();
    in_flight.run(key, start_and_ask(app, call, member_id, order_id, from, instrument)).await
}

async fn start_and_ask(
    app: Arc<App>,
    call: Call,
    member_id: UserId,
    order_id: OrderId,
    from: Option<IpAddr>,
    instrument: Instrument,
) -> Result<Paid, Failure> {
    // Whose an order is never changes: this says the same before and after the first outcome.
    let order = app.bus.load::<Order>(&order_id).await?;
    if order.state.customer_id != Some(member_id) {
        return Err(Failure::NotFound);
    }
    let key = call.request_key().expect("a payment has a key");
    let payment_id = call.new_id("payment", app.world);
    let Instrument { method, token } = &instrument;
    let payer = Payer { order_id, user_id: member_id, from, token };
    if let Err(braked) = app.declines.check(payer) {
        let plan = call.plan().look::<Payment>(&payment_id).look::<Order>(&order_id);
        app.refuse(call.keyed(plan), braked).await?;
    }
    let (bus, provider) = (&app.bus, &*app.provider);
    let started =
        payments::start(bus, provider, order_id, payment_id, method, &call.context, key).await?;
    let attempt = if started.replayed { Attempt::Again } else { Attempt::First };
    let asked = ask(&app, payment_id, payer, method, attempt, &call.context).await?;
    let position = asked.position.max(started.position);
    Ok(Paid { asked, position, replayed: started.replayed })
}

/// Asks the provider about a payment that was recorded as requested, unless that has been done,
/// and says how it stands after at most [`WAIT_FOR_OUTCOME`].
///
/// Asking runs in a task of its own: a customer who leaves does not cut it off.
pub(super) async fn ask(
    app: &Arc<App>,
    payment_id: PaymentId,
    payer: Payer<'_>,
    method: &str,
    attempt: Attempt,
    context: &Context,
) -> Result<Asked, Failure> {
    let payment: Loaded<Payment> = app.bus.load(&payment_id).await?;
    let Some(amount) = payment.state.amount else { return Err(Failure::NotFound) };
    let deadline = Instant::now() + WAIT_FOR_OUTCOME;
    // What is not pending any more was asked before: this is a replay, or settlement was faster.
    let is_ours = payment.state.status == PaymentStatus::Pending;
    if is_ours {
        let (order_id, token) = (payer.order_id, payer.token.to_owned());
        let charge = Charge { payment_id, order_id, amount, method: method.to_owned(), token };
        let (app, context) = (Arc::clone(app), context.clone());
        let asking = tokio::spawn(async move {
            let asked =
                payments::charge_and_record(&app.bus, &*app.provider, charge, attempt, &context)
                    .await;
            if let Err(error) = asked {
                tracing::warn!(payment.id = %payment_id, %error, "an answer could not be recorded yet");
            }
        });
        // Whether it ended or not: how the payment stands is in the journal.
        let _ = tokio::time::timeout_at(deadline, asking).await;
    }
    // The same request may be asking at another process, which then hears the answer.
    let payment = loop {
        let payment: Loaded<Payment> = app.bus.load(&payment_id).await?;
        if payment.state.status != PaymentStatus::Pending || Instant::now() >= deadline {
            break payment;
        }
        tokio::time::sleep(OUTCOME_POLL).await;
    };
    if is_ours {
        note(&app.declines, payer, payment.state.status);
    }
    let position = app.position_of::<Payment>(&payment_id, payment.sequence).await?;
    Ok(Asked { payment_id, payment, position })
}

fn note(declines: &Declines, payer: Payer<'_>, status: PaymentStatus) {
    match status {
        PaymentStatus::Declined => declines.declined(payer),
        PaymentStatus::Authorized | PaymentStatus::Captured => declines.succeeded(payer),
        // Nobody has said anything about the card.
        PaymentStatus::Pending
        | PaymentStatus::Unknown
        | PaymentStatus::ActionRequired
        | PaymentStatus::Failed
        | PaymentStatus::Voided => {}
    }
}

/// What a provider says of its own accord.
pub struct Notification {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of what it says.
    pub event_id: String,
    /// Of which payment.
    pub payment_id: PaymentId,
    /// What it says.
    pub answer: ProviderAnswer,
}

/// Takes a provider's notification, repeated and late ones as they come; false when the payment is not
/// known here.
///
/// # Errors
/// When it could not be recorded; the provider says it again.
pub async fn notified(
    app: &App,
    notification: Notification,
    context: &Context,
) -> Result<bool, Failure> {
    let Notification { provider, event_id, payment_id, answer } = notification;
    let payment = app.bus.load::<Payment>(&payment_id).await?.state;
    // Kept with its id, so that whoever looks for money that nobody asked for finds the trace.
    sqlx::query(
        "insert into payment_notifications (provider, event_id, payment_id, known) \
         values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(&provider)
    .bind(&event_id)
    .bind(payment_id.uuid())
    .bind(payment.exists())
    .execute(&app.pool)
    .await
    .map_err(Failure::unavailable)?;
    let Some(order_id) = payment.order_id else { return Ok(false) };
    // Saying again what is known changes nothing, so a repetition needs no memory of its own.
    payments::record(&app.bus, payment_id, order_id, answer, context).await?;
    Ok(true)
}
