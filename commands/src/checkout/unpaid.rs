//! The process manager that gives up orders which nobody pays.
//!
//! `OrderPlaced` sets a timer for the end of the time to pay, an order that is paid or cancelled clears it. When
//! it is due the open payment is called off at its provider; if it did not bring money after all, the order is
//! cancelled, its stock released and its cart filled again, all at once.

use crate::bus::{Bus, Context, ExecuteError, Loaded, Plan};
use crate::payments::{PaymentProvider, ProviderAnswer, record};
use cqrs_es::Aggregate;
use domain::cart::{Cart, CartCommand, CartLine};
use domain::order::{CancelReason, Order, OrderCommand, OrderEvent, OrderLine, OrderStatus};
use domain::stock::{StockCommand, StockItem};
use domain::{EventSource, OrderId, Quantity, Reason, RecordedEvent, Timestamp};
use follow::process::{self, Change, Next, Process, Timer};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Its name among checkpoints, timers, dead letters and tasks.
pub const NAME: &str = "unpaid_orders";

/// The pauses before an order is tried to be given up again: the first, doubling, to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Gives up orders that nobody pays until `cancel`.
pub async fn run(
    bus: Arc<Bus>,
    provider: Arc<impl PaymentProvider>,
    source: Arc<impl EventSource>,
    cancel: CancellationToken,
) {
    let pool = bus.journal().pool().clone();
    process::run(Arc::new(UnpaidOrders { bus, provider }), pool, source, cancel).await;
}

struct UnpaidOrders<P> {
    bus: Arc<Bus>,
    provider: Arc<P>,
}

impl<P: PaymentProvider> Process for UnpaidOrders<P> {
    const NAME: &'static str = NAME;
    const READS: &'static [&'static str] = &[Order::TYPE];
    const PATIENCE: Duration = Duration::from_secs(20);

    fn take(&self, event: &RecordedEvent) -> Result<Vec<Change>, String> {
        let key = event.aggregate_id.clone();
        Ok(match event.decode::<OrderEvent>().map_err(|error| error.to_string())? {
            OrderEvent::OrderPlaced { pay_by, .. } => {
                // It can be paid until the end of that second.
                let seconds = pay_by.seconds_since(Timestamp::from(event.recorded_at)) + 1;
                let after = Duration::from_secs(seconds.try_into().unwrap_or(0));
                vec![Change::Set { key, after, data: Value::Null }]
            }
            OrderEvent::OrderPaid { .. }
            | OrderEvent::OrderRequiredNoPayment {}
            | OrderEvent::OrderCancelled { .. } => vec![Change::Clear { key }],
            OrderEvent::OrderAddressChanged { .. }
            | OrderEvent::OrderPaymentStarted { .. }
            | OrderEvent::OrderPaymentEnded { .. } => vec![],
        })
    }

    async fn due(&self, timer: &Timer) -> Next {
        let again = Next::Again(timer.back_off(FIRST_PAUSE, LONGEST_PAUSE));
        let Ok(order_id) = timer.key.parse() else { return Next::Done };
        match self.give_up(order_id).await {
            Ok(true) => Next::Done,
            Ok(false) => again,
            Err(error) => {
                warn!(order.id = %order_id, %error, "an unpaid order could not be given up yet");
                again
            }
        }
    }
}

impl<P: PaymentProvider> UnpaidOrders<P> {
    /// Whether the order waits for money no longer.
    async fn give_up(&self, order_id: OrderId) -> Result<bool, ExecuteError> {
        let context = Context {
            actor: "system:unpaid_orders".to_owned(),
            correlation_id: order_id.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let mut order: Loaded<Order> = self.bus.load(&order_id).await?;
        if let Some(payment_id) = order.state.payment_under_way {
            let answer = self.provider.cancel(payment_id).await;
            if matches!(answer, ProviderAnswer::NoAnswer | ProviderAnswer::Unavailable) {
                return Ok(false);
            }
            record(&self.bus, payment_id, order_id, answer, &context).await?;
            order = self.bus.load(&order_id).await?;
        }
        if order.state.status != OrderStatus::AwaitingPayment {
            return Ok(true);
        }
        match self.bus.execute(cancel(order_id, &order.state, &context)).await {
            Ok(_) => {
                info!(order.id = %order_id, "an order that nobody paid was cancelled");
                return Ok(true);
            }
            Err(ExecuteError::Rejected(_)) => {}
            Err(error) => return Err(error),
        }
        // It was paid in this very moment, its payment has not ended, or it can be paid still.
        Ok(false)
    }
}

/// Whoever reads at the order's position sees everything else as well: it comes last.
fn cancel(order_id: OrderId, order: &Order, context: &Context) -> Plan {
    let mut plan = Plan::new(context);
    for line in &order.lines {
        let reason = Reason::parse("not paid in time").expect("it is short");
        let release = StockCommand::Release { order_id, reason };
        plan = plan.step::<StockItem>(&line.sku, release);
    }
    if let Some((cart_id, owner_id)) = order.cart_id.zip(order.customer_id) {
        let lines = order.lines.iter().filter_map(cart_line).collect();
        plan = plan.step::<Cart>(&cart_id, CartCommand::Restore { owner_id, lines });
    }
    let cancel = OrderCommand::Cancel { reason: CancelReason::Unpaid };
    plan.step::<Order>(&order_id, cancel)
}

fn cart_line(line: &OrderLine) -> Option<CartLine> {
    let quantity = Quantity::new(line.quantity).ok()?;
    let OrderLine { sku, product_id, name, variant, picture, unit_price, .. } = line.clone();
    Some(CartLine { sku, product_id, name, variant, picture, quantity, unit_price })
}
