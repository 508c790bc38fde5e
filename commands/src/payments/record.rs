use super::{Charge, PaymentProvider, ProviderAnswer};
use crate::bus::{Bus, Context, ExecuteError, Plan};
use domain::order::{Order, OrderCommand, OrderStatus, PaymentEnd};
use domain::payment::{Payment, PaymentCommand, covers};
use domain::stock::{StockCommand, StockItem};
use domain::{Money, OrderId, PaymentId};
use tracing::error;

/// The code of a payment that failed because its provider could not take it.
const PROVIDER_UNAVAILABLE: &str = "provider_unavailable";

/// Why money is orphaned that comes second.
const ORDER_ALREADY_PAID: &str = "order_already_paid";

/// Why money is orphaned that comes too late.
const ORDER_CANCELLED: &str = "order_cancelled";

/// What a payment says to a sum that it knows.
const ALREADY_CAPTURED: &str = "payment_already_captured";

/// How often a capture is decided on another state of its order: it can be overtaken by another
/// payment, by a larger sum of its own, and by a change of the stock, once each.
const MAX_LOOKS: u32 = 4;

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
/// it said, changes nothing that must not change. Whatever it says can be recorded.
///
/// # Errors
/// [`ExecuteError`].
pub async fn record(
    bus: &Bus,
    payment_id: PaymentId,
    order_id: OrderId,
    answer: ProviderAnswer,
    context: &Context,
) -> Result<(), ExecuteError> {
    let (command, end) = match answer {
        ProviderAnswer::Captured { amount } => {
            return record_captured(bus, payment_id, order_id, amount, context).await;
        }
        ProviderAnswer::Pending | ProviderAnswer::NotFound => return Ok(()),
        ProviderAnswer::Authorized => (PaymentCommand::RecordAuthorized, None),
        ProviderAnswer::ActionRequired { url } => {
            (PaymentCommand::RecordActionRequired { url }, None)
        }
        ProviderAnswer::NoAnswer => (PaymentCommand::RecordUnknown, None),
        ProviderAnswer::CapturedUnreadable { said } => {
            let command = PaymentCommand::RecordCaptureUnreadable { said: said.clone() };
            let end = Some(PaymentEnd::Failed);
            // Said once, however often it is heard.
            if execute(bus, payment_id, order_id, command, end, context).await? {
                error!(
                    payment.id = %payment_id, order.id = %order_id, said,
                    "a provider took money and says no amount: somebody has to look it up there"
                );
            }
            return Ok(());
        }
        ProviderAnswer::Declined { code } => {
            (PaymentCommand::RecordDeclined { code }, Some(PaymentEnd::Declined))
        }
        ProviderAnswer::Voided => (PaymentCommand::RecordVoided, Some(PaymentEnd::Voided)),
        ProviderAnswer::Unavailable => {
            return record_failed(bus, payment_id, order_id, PROVIDER_UNAVAILABLE, context).await;
        }
    };
    execute(bus, payment_id, order_id, command, end, context).await.map(drop)
}

/// Records that the payment ended without an answer that ends it, for the reason `code`. Should
/// money come after all, it counts.
///
/// # Errors
/// [`ExecuteError`].
pub(super) async fn record_failed(
    bus: &Bus,
    payment_id: PaymentId,
    order_id: OrderId,
    code: &str,
    context: &Context,
) -> Result<(), ExecuteError> {
    let failed = PaymentCommand::RecordFailed { code: code.to_owned() };
    execute(bus, payment_id, order_id, failed, Some(PaymentEnd::Failed), context).await.map(drop)
}

/// Records what is said of the payment, and of its order if that need not wait for it any longer.
/// Answers whether it was news.
async fn execute(
    bus: &Bus,
    payment_id: PaymentId,
    order_id: OrderId,
    command: PaymentCommand,
    end: Option<PaymentEnd>,
    context: &Context,
) -> Result<bool, ExecuteError> {
    let mut plan = Plan::new(context).step::<Payment>(&payment_id, command);
    if let Some(end) = end {
        plan = plan.step::<Order>(&order_id, OrderCommand::EndPayment { payment_id, end });
    }
    Ok(bus.execute(plan).await?.positions.is_some())
}

/// Money arrived. If it pays the order: the payment is captured, the order paid and its stock sold,
/// all at once. If it does not, the payment is captured and orphaned, to be paid back, and the
/// order need not wait for it any longer, in one append as well.
async fn record_captured(
    bus: &Bus,
    payment_id: PaymentId,
    order_id: OrderId,
    amount: Money,
    context: &Context,
) -> Result<(), ExecuteError> {
    // Why an order that waits for money refused this, e.g. because its stock is not there.
    let mut refusal = None;
    for _ in 0..MAX_LOOKS {
        let order = bus.load::<Order>(&order_id).await?.state;
        let refused = match order.paid_by {
            Some(paid_by) if paid_by == payment_id => None,
            Some(_) => Some(ORDER_ALREADY_PAID.to_owned()),
            None if order.status == OrderStatus::Cancelled => Some(ORDER_CANCELLED.to_owned()),
            None => refusal.take(),
        };
        let pays = order.paid_by.is_none()
            && refused.is_none()
            && order.totals.is_some_and(|totals| covers(amount, totals.total));
        let mut plan = Plan::new(context);
        if pays {
            for line in &order.lines {
                let commit = StockCommand::Commit { order_id };
                plan = plan.step::<StockItem>(&line.sku, commit);
            }
        }
        // The order comes last: whoever reads at its position sees everything that its payment
        // changed.
        let of_order = if pays {
            OrderCommand::MarkPaid { payment_id }
        } else {
            OrderCommand::EndPayment { payment_id, end: PaymentEnd::Failed }
        };
        plan = plan
            .step::<Payment>(&payment_id, PaymentCommand::RecordCaptured { amount, refused })
            .step::<Order>(&order_id, of_order);
        let rejections = match bus.execute(plan).await {
            Err(ExecuteError::Rejected(rejections)) => rejections,
            other => return other.map(drop),
        };
        // Said again. What the order gets of it was decided then; it only must not wait any more.
        if rejections.iter().any(|rejection| rejection.code() == ALREADY_CAPTURED) {
            return if order.payment_under_way == Some(payment_id) {
                end_settled(bus, payment_id, order_id, context).await
            } else {
                Ok(())
            };
        }
        // Another payment was faster, or the order cannot take the money: the next look tells.
        refusal = rejections.first().map(|rejection| rejection.code().to_owned());
    }
    Err(ExecuteError::Contended)
}

/// A payment that has ended keeps no order waiting. Usually its end was appended with it; orders
/// whose payment took too little were left waiting once, and are freed by whoever comes by.
///
/// # Errors
/// [`ExecuteError`].
pub(super) async fn end_settled(
    bus: &Bus,
    payment_id: PaymentId,
    order_id: OrderId,
    context: &Context,
) -> Result<(), ExecuteError> {
    let end = OrderCommand::EndPayment { payment_id, end: PaymentEnd::Failed };
    bus.execute(Plan::new(context).step::<Order>(&order_id, end)).await.map(drop)
}
