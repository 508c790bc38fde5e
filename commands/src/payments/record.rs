use super::{Charge, PaymentProvider, ProviderAnswer};
use crate::bus::{Bus, Context, ExecuteError, Plan};
use domain::Money;
use domain::order::{Order, OrderCommand, PaymentEnd};
use domain::payment::{Payment, PaymentCommand, PaymentStatus};
use domain::stock::{StockCommand, StockItem};
use uuid::Uuid;

/// The code of a payment that failed because its provider could not take it.
const PROVIDER_UNAVAILABLE: &str = "provider_unavailable";

/// Whether the provider may have been asked for this payment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The request was recorded just now, by us.
    First,
    /// Somebody recorded it before and may have asked, and may be asking still.
    Again,
}

/// Asks the provider for the money and records what it says. Run it in a task of its own: a
/// customer who closes the browser must not cut it off.
///
/// # Errors
/// [`ExecuteError`] when the answer could not be recorded; settlement will do it.
pub async fn charge_and_record(
    bus: &Bus,
    provider: &impl PaymentProvider,
    charge: Charge,
    attempt: Attempt,
    context: &Context,
) -> Result<(), ExecuteError> {
    let (payment_id, order_id) = (charge.payment_id, charge.order_id);
    let answer = match attempt {
        Attempt::First => provider.charge(charge).await,
        Attempt::Again => charge_again(provider, charge).await,
    };
    record(bus, payment_id, order_id, answer, context).await
}

/// An unknown outcome is queried first. That this call was not taken says nothing of an earlier
/// one, which may have been: it must not end the payment.
async fn charge_again(provider: &impl PaymentProvider, charge: Charge) -> ProviderAnswer {
    let known = provider.query(charge.payment_id).await;
    if known != ProviderAnswer::NotFound {
        return known;
    }
    match provider.charge(charge).await {
        ProviderAnswer::Unavailable => ProviderAnswer::NoAnswer,
        answer => answer,
    }
}

/// Records what the provider said of a payment. Saying it again, or later than something else that
/// it said, changes nothing that must not change.
///
/// # Errors
/// [`ExecuteError`].
pub async fn record(
    bus: &Bus,
    payment_id: Uuid,
    order_id: Uuid,
    answer: ProviderAnswer,
    context: &Context,
) -> Result<(), ExecuteError> {
    let command = match answer {
        ProviderAnswer::Captured { amount } => {
            return record_captured(bus, payment_id, order_id, amount, context).await;
        }
        ProviderAnswer::Pending | ProviderAnswer::NotFound => return Ok(()),
        ProviderAnswer::Authorized => PaymentCommand::RecordAuthorized,
        ProviderAnswer::ActionRequired { url } => PaymentCommand::RecordActionRequired { url },
        ProviderAnswer::NoAnswer => PaymentCommand::RecordUnknown,
        ProviderAnswer::Declined { code } => PaymentCommand::RecordDeclined { code },
        ProviderAnswer::Voided => PaymentCommand::RecordVoided,
        ProviderAnswer::Unavailable => {
            PaymentCommand::RecordFailed { code: PROVIDER_UNAVAILABLE.to_owned() }
        }
    };
    let end = match &command {
        PaymentCommand::RecordDeclined { .. } => Some(PaymentEnd::Declined),
        PaymentCommand::RecordFailed { .. } => Some(PaymentEnd::Failed),
        PaymentCommand::RecordVoided => Some(PaymentEnd::Voided),
        _ => None,
    };
    let mut plan = Plan::new(context).step::<Payment>(payment_id.to_string(), command);
    if let Some(end) = end {
        plan =
            plan.step::<Order>(order_id.to_string(), OrderCommand::EndPayment { payment_id, end });
    }
    bus.execute(plan).await.map(drop)
}

/// Money arrived: the payment is captured, the order paid and its stock sold, all at once. If the
/// order does not wait for this money, the payment is orphaned instead, to be paid back.
async fn record_captured(
    bus: &Bus,
    payment_id: Uuid,
    order_id: Uuid,
    amount: Money,
    context: &Context,
) -> Result<(), ExecuteError> {
    let captured = PaymentCommand::RecordCaptured { amount };
    let order = bus.load::<Order>(&order_id.to_string()).await?.state;
    if order.paid_by == Some(payment_id) {
        // Recorded before; what the payment says of a repetition is all there is to hear.
        let plan = Plan::new(context).step::<Payment>(payment_id.to_string(), captured);
        return bus.execute(plan).await.map(drop);
    }
    if order.totals.is_some_and(|totals| totals.total != amount) {
        // Part of the money does not pay an order, and nobody may send the rest to this payment.
        return orphan(bus, payment_id, captured, "captured_other_amount", context).await;
    }
    let mut plan = Plan::new(context);
    for line in &order.lines {
        plan = plan.step::<StockItem>(line.sku.to_string(), StockCommand::Commit { order_id });
    }
    // The order comes last: whoever reads at its position sees everything that its payment changed.
    plan = plan
        .step::<Payment>(payment_id.to_string(), captured.clone())
        .step::<Order>(order_id.to_string(), OrderCommand::MarkPaid { payment_id });
    let rejections = match bus.execute(plan).await {
        Err(ExecuteError::Rejected(rejections)) => rejections,
        other => return other.map(drop),
    };
    // Somebody else recorded the same answer a moment ago.
    let order = bus.load::<Order>(&order_id.to_string()).await?.state;
    if order.paid_by == Some(payment_id) {
        return Ok(());
    }
    let payment = bus.load::<Payment>(&payment_id.to_string()).await?.state;
    if payment.status == PaymentStatus::Captured && payment.orphaned {
        return Ok(());
    }
    let code = rejections.last().map_or("order_not_payable", |rejection| rejection.code());
    orphan(bus, payment_id, captured, code, context).await
}

/// Records money that no order waits for.
async fn orphan(
    bus: &Bus,
    payment_id: Uuid,
    captured: PaymentCommand,
    code: &str,
    context: &Context,
) -> Result<(), ExecuteError> {
    let orphan = PaymentCommand::Orphan { code: code.to_owned() };
    let plan = Plan::new(context)
        .step::<Payment>(payment_id.to_string(), captured)
        .step::<Payment>(payment_id.to_string(), orphan);
    bus.execute(plan).await.map(drop)
}
