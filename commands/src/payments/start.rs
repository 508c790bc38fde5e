use super::record::end_settled;
use super::{PaymentProvider, record};
use crate::bus::{Bus, Context, ExecuteError, Executed, Plan, RequestKey};
use domain::order::{Order, OrderCommand, OrderRejection};
use domain::payment::{Payment, PaymentCommand, PaymentStatus};
use domain::{OrderId, PaymentId, Rejection};

/// Records that a payment of the order is asked for; the provider is called afterwards.
///
/// If the order waits for a payment whose customer was sent to confirm it and has not come back,
/// that one is called off at the provider first and what the provider says is recorded. Should the
/// customer have confirmed it meanwhile, that is what counts: the order is paid, and this attempt
/// hears that it cannot be. The key is asked about before anything is called off, so a repetition
/// of an attempt that has begun calls nothing off, and one that was cut off on the way does the
/// rest.
///
/// # Errors
/// [`ExecuteError`]: the order is absent, not payable, or another payment is under way.
pub async fn start(
    bus: &Bus,
    provider: &impl PaymentProvider,
    order_id: OrderId,
    payment_id: PaymentId,
    method: &str,
    context: &Context,
    key: RequestKey,
) -> Result<Executed, ExecuteError> {
    let request = async || request(bus, order_id, payment_id, method, context, key).await;
    match request().await {
        Err(ExecuteError::Rejected(rejections)) if is_in_progress(&rejections) => {
            if free(bus, provider, order_id, context).await? {
                request().await
            } else {
                Err(ExecuteError::Rejected(rejections))
            }
        }
        other => other,
    }
}

async fn request(
    bus: &Bus,
    order_id: OrderId,
    payment_id: PaymentId,
    method: &str,
    context: &Context,
    key: RequestKey,
) -> Result<Executed, ExecuteError> {
    let keyed = |plan: Plan| plan.keyed(Some(key));
    let order = bus.load::<Order>(&order_id).await?.state;
    let (Some(totals), Some(customer_id)) = (order.totals, order.customer_id) else {
        let plan = Plan::new(context).look::<Payment>(&payment_id).look::<Order>(&order_id);
        let first = bus.refuse(keyed(plan)).await?;
        return first.ok_or(ExecuteError::Rejected(vec![Box::new(OrderRejection::NotFound)]));
    };
    // What an order costs is frozen when it is placed, so this cannot be out of date.
    let request = PaymentCommand::Request {
        order_id,
        customer_id,
        amount: totals.total,
        method: method.to_owned(),
    };
    let plan = Plan::new(context)
        .step::<Payment>(&payment_id, request)
        .step::<Order>(&order_id, OrderCommand::StartPayment { payment_id });
    bus.execute(keyed(plan)).await
}

fn is_in_progress(rejections: &[Box<dyn Rejection>]) -> bool {
    rejections.iter().any(|rejection| rejection.code() == "payment_in_progress")
}

/// Ends the payment that the order waits for, if that needs nobody's patience. Answers whether it
/// is worth asking the order again.
async fn free(
    bus: &Bus,
    provider: &impl PaymentProvider,
    order_id: OrderId,
    context: &Context,
) -> Result<bool, ExecuteError> {
    let order = bus.load::<Order>(&order_id).await?.state;
    let Some(payment_id) = order.payment_under_way else { return Ok(true) };
    match bus.load::<Payment>(&payment_id).await?.state.status {
        PaymentStatus::ActionRequired => {
            // No answer changes nothing: it still waits for its customer.
            let answer = provider.cancel(payment_id).await;
            record(bus, payment_id, order_id, answer, context).await?;
        }
        status if status.is_settled() => end_settled(bus, payment_id, order_id, context).await?,
        // Its answer is on the way.
        _ => return Ok(false),
    }
    let order = bus.load::<Order>(&order_id).await?.state;
    Ok(order.payment_under_way != Some(payment_id))
}
