//! How a cart becomes an order: read everything again, then append cart, stock and order at once.
//!
//! 1. The cart at the version that the customer saw, if they said which.
//! 2. The prices of today; a difference is reported, never silently charged.
//! 3. Stock reserved for all lines, the order placed and the cart emptied in one append.
//!
//! Products are not changed, but their prices are what the order is made of: they join the append
//! as expectations, so an order never carries a price that was not in force when it was placed.

mod draft;
mod holds;
mod rejection;
pub mod unpaid;

pub use holds::{MAX_OF_ADDRESS, MAX_OF_USER};
pub use rejection::{CheckoutRejection, PriceChange, Shortage};

use crate::bus::{Bus, Context, ExecuteError, Loaded, Plan, RequestKey};
use domain::cart::{Cart, CartRejection};
use domain::order::{Order, OrderLine, Totals};
use domain::{
    CartId, Money, OrderContact, OrderId, PaymentId, Position, Sealed, Timestamp, UserId,
};
use draft::Draft;
use rejection::{has_code, merge_shortages};

/// How long an order waits for its money, in seconds.
pub const PAY_WITHIN_SECONDS: i64 = 15 * 60;

/// How often a checkout is planned before the customer hears that others were faster every time.
const MAX_PLANS: u32 = 4;

/// What a customer wants to order, parsed and sealed.
pub struct Checkout {
    /// Who orders.
    pub customer_id: UserId,
    /// Which cart becomes the order.
    pub cart_id: CartId,
    /// The cart's version that the customer saw, if they said.
    pub cart_version: Option<u64>,
    /// The total that the customer agreed to, if they said.
    pub expected_total: Option<Money>,
    /// Whom the order belongs to and where it goes, sealed with the customer's key.
    pub contact: Sealed<OrderContact>,
    /// The order's id, derived from the request's key.
    pub order_id: OrderId,
    /// The order's number, from [`crate::numbers::Numbers`].
    pub number: i32,
    /// From where it is ordered, by a [pseudonym](crate::bus::FingerprintKey::pseudonym). Without it nothing bounds
    /// how many orders wait for their money: load generators are no customers.
    pub address: Option<String>,
    /// The payment that starts with the order, if one does.
    pub payment: Option<StartedPayment>,
}

/// A payment that starts in the same append as its order.
pub struct StartedPayment {
    /// Its id, derived from the request's key.
    pub payment_id: PaymentId,
    /// The kind of payment, e.g. `card`.
    pub method: String,
}

/// The order is the first step of a checkout's plan, and the only one of a refused checkout's.
const ORDER_STEP: usize = 0;

/// What a cart would cost today.
pub struct Quote {
    /// The lines as the order would have them.
    pub lines: Vec<OrderLine>,
    /// What they cost.
    pub totals: Totals,
}

/// Prices the customer's cart as it is now, without any effect.
///
/// # Errors
/// [`ExecuteError`] with the same rejections as a checkout.
pub async fn quote(
    bus: &Bus,
    cart_id: CartId,
    cart_version: Option<u64>,
    expected_total: Option<Money>,
) -> Result<Quote, ExecuteError> {
    let cart = bus.load::<Cart>(&cart_id).await?;
    if cart_version.is_some_and(|version| version != cart.sequence) {
        return Err(ExecuteError::Rejected(vec![Box::new(CartRejection::CartChanged)]));
    }
    let draft = Draft::read(bus, cart).await?;
    draft.check(expected_total).map_err(|rejection| ExecuteError::Rejected(vec![rejection]))?;
    let (lines, totals) = draft.priced().map_err(|r| ExecuteError::Rejected(vec![r]))?;
    Ok(Quote { lines, totals })
}

/// The order as it was right after it was placed.
#[derive(Debug)]
pub struct Placed {
    /// The order's id.
    pub order_id: OrderId,
    /// The order.
    pub order: Loaded<Order>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// The position to wait for before a read shows it.
    pub position: Position,
    /// True when the request's key had placed it before.
    pub replayed: bool,
}

/// Places the order, or says why not. Under the same key it answers the first outcome.
///
/// # Errors
/// [`ExecuteError`].
pub async fn place_order(
    bus: &Bus,
    checkout: &Checkout,
    context: &Context,
    key: RequestKey,
) -> Result<Placed, ExecuteError> {
    let order_id = checkout.order_id;
    let keyed = |plan: Plan| plan.keyed(Some(key));
    let mut result = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        let cart = bus.peek::<Cart>(&checkout.cart_id).await?;
        let draft = Draft::read(bus, cart).await?;
        let crowded = match &checkout.address {
            Some(address) => holds::check_address(bus, checkout.customer_id, address).await?,
            None => None,
        };
        let plan = match crowded {
            Some(refusal) => Err(refusal),
            None => draft.plan(checkout, context, bus.journal().clock().now()),
        };
        result = match plan {
            Ok(plan) => bus.execute(keyed(plan)).await,
            // A refusal is only worth something if it was made on a state that holds, and if this
            // is not the repetition of what has emptied the cart.
            Err(refusal) => {
                let plan = draft.unchanged(checkout.cart_id, context);
                let first = bus.refuse(keyed(plan.look::<Order>(&order_id))).await;
                first.and_then(|first| first.ok_or(ExecuteError::Rejected(vec![refusal])))
            }
        };
        match &result {
            Err(ExecuteError::Contended) => {}
            // The cart changed between our look and the decision: look again, unless the
            // customer insists on a version.
            Err(ExecuteError::Rejected(rejections))
                if checkout.cart_version.is_none() && has_code(rejections, "cart_changed") => {}
            Ok(_) | Err(_) => break,
        }
    }
    let executed = result.map_err(merge_shortages)?;
    Ok(Placed {
        order_id,
        order: executed.loaded::<Order>(ORDER_STEP),
        placed_at: executed.recorded_at.unwrap_or_else(|| bus.journal().clock().now()),
        position: executed.position,
        replayed: executed.replayed,
    })
}
