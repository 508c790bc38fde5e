//! How an order is paid, also across a crash.
//!
//! 1. `PaymentRequested` is durable before the provider hears of it (with the order's
//!    `OrderPaymentStarted`, so that no second payment starts beside it).
//! 2. The provider is asked, with the payment's id as its idempotency key.
//! 3. The answer is recorded. Captured money, the order's being paid and the stock's being sold
//!    are one append.
//!
//! Whoever dies between 1 and 3 leaves a payment that [`settlement`] finds, asks about and
//! records: an unknown outcome is queried, never blindly retried.

mod letters;
mod provider;
mod record;
pub mod settlement;

pub use provider::{Charge, PaymentProvider, ProviderAnswer};
pub use record::{Attempt, charge_and_record, record};

use crate::bus::{Bus, Context, ExecuteError, Executed, Plan, RequestKey};
use domain::order::{Order, OrderCommand, OrderRejection};
use domain::payment::{Payment, PaymentCommand};
use serde_json::json;
use uuid::Uuid;

/// The payment is the first step of the plan of [`start`].
pub const PAYMENT_STEP: usize = 0;

/// Records that a payment of the order is asked for; the provider is called afterwards.
///
/// # Errors
/// [`ExecuteError`]: the order is absent, not payable, or another payment is under way.
pub async fn start(
    bus: &Bus,
    order_id: Uuid,
    payment_id: Uuid,
    method: &str,
    context: &Context,
    key: RequestKey,
) -> Result<Executed, ExecuteError> {
    let order = bus.load::<Order>(&order_id.to_string()).await?.state;
    let (Some(totals), Some(customer_id)) = (order.totals, order.customer_id) else {
        return Err(ExecuteError::Rejected(vec![Box::new(OrderRejection::NotFound)]));
    };
    // What an order costs is frozen when it is placed, so this cannot be out of date.
    let request = PaymentCommand::Request {
        order_id,
        customer_id,
        amount: totals.total,
        method: method.to_owned(),
    };
    let plan = Plan::new(context)
        .step::<Payment>(payment_id.to_string(), request)
        .step::<Order>(order_id.to_string(), OrderCommand::StartPayment { payment_id })
        .keyed(Some(key), json!({ "order_id": order_id, "payment_id": payment_id }));
    bus.execute(plan).await
}
