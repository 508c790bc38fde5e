//! How a cart becomes an order: read everything again, then append cart, stock and order at once.
//!
//! 1. The cart at the version that the customer saw, if they said which.
//! 2. The prices of today; a difference is reported, never silently charged.
//! 3. Stock reserved for all lines, the order placed and the cart emptied in one append.
//!
//! Products are not changed, but their prices are what the order is made of: they join the append
//! as expectations, so an order never carries a price that was not in force when it was placed.

use crate::bus::{Bus, Context, ExecuteError, Loaded, Plan, RequestKey};
use domain::cart::{Cart, CartCommand, CartRejection};
use domain::order::{Order, OrderCommand, OrderLine, Totals};
use domain::payment::{Payment, PaymentCommand};
use domain::product::{Product, ProductStatus};
use domain::stock::{StockCommand, StockItem};
use domain::{Money, OrderContact, Quantity, Rejection, RejectionKind, Sealed, Sku, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use uuid::Uuid;

/// How long an order waits for its money, in seconds.
pub const PAY_WITHIN_SECONDS: i64 = 15 * 60;

/// How often a checkout is planned before the customer hears that others were faster every time.
const MAX_PLANS: u32 = 4;

/// What a customer wants to order, parsed and sealed.
pub struct Checkout {
    /// Who orders.
    pub customer_id: Uuid,
    /// Which cart becomes the order.
    pub cart_id: Uuid,
    /// The cart's version that the customer saw, if they said.
    pub cart_version: Option<u64>,
    /// The total that the customer agreed to, if they said.
    pub expected_total: Option<Money>,
    /// Whom the order belongs to and where it goes, sealed with the customer's key.
    pub contact: Sealed<OrderContact>,
    /// The order's id, derived from the request's key.
    pub order_id: Uuid,
    /// The order's number, from [`crate::numbers::Numbers`].
    pub number: i32,
    /// The payment that starts with the order, if one does.
    pub payment: Option<StartedPayment>,
}

/// A payment that starts in the same append as its order.
pub struct StartedPayment {
    /// Its id, derived from the request's key.
    pub payment_id: Uuid,
    /// The kind of payment, e.g. `card`.
    pub method: String,
}

/// The order is the first step of a checkout's plan.
const ORDER_STEP: usize = 0;

/// Why a checkout was refused, beyond what cart, stock and order say themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutRejection {
    /// Some lines cannot be delivered.
    #[error("some of the items are not in stock")]
    OutOfStock {
        /// Every line that cannot.
        lines: Vec<Shortage>,
    },
    /// The customer would pay something else than they saw.
    #[error("the total is {total} by now; send it as expected_total to accept it")]
    PriceChanged {
        /// What they would pay.
        total: Money,
        /// The lines whose price differs.
        lines: Vec<PriceChange>,
    },
}

/// A line that cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The line.
    pub sku: Sku,
    /// How many are wanted.
    pub requested: u32,
    /// How many are left.
    pub available: u64,
}

/// A line whose price is not the one that the customer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceChange {
    /// The line.
    pub sku: Sku,
    /// The price of one piece as they saw it.
    pub seen: Money,
    /// The price of one piece now.
    pub now: Money,
}

impl Rejection for CheckoutRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfStock { .. } => "out_of_stock",
            Self::PriceChanged { .. } => "price_changed",
        }
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }

    fn extra(&self) -> Option<Value> {
        Some(match self {
            Self::OutOfStock { lines } => json!({
                "lines": lines.iter().map(|line| json!({
                    "sku": line.sku, "requested": line.requested, "available": line.available,
                })).collect::<Vec<_>>(),
            }),
            Self::PriceChanged { total, lines } => json!({
                "total": total,
                "lines": lines.iter().map(|line| json!({
                    "sku": line.sku, "seen": line.seen, "now": line.now,
                })).collect::<Vec<_>>(),
            }),
        })
    }
}

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
    cart_id: Uuid,
    cart_version: Option<u64>,
    expected_total: Option<Money>,
) -> Result<Quote, ExecuteError> {
    let cart = bus.load::<Cart>(&cart_id.to_string()).await?;
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
    pub order_id: Uuid,
    /// The order.
    pub order: Loaded<Order>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// The position to wait for before a read shows it.
    pub position: u64,
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
    // Asked first, because the cart of a checkout that is done is empty: no plan could be made.
    if let Some(recorded) = bus.recorded(key).await? {
        let order = bus.load_at::<Order>(&order_id.to_string(), &recorded.versions).await?;
        return Ok(Placed {
            order_id,
            order,
            placed_at: recorded.recorded_at,
            position: recorded.position,
            replayed: true,
        });
    }
    let mut result = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        let cart = bus.peek::<Cart>(&checkout.cart_id.to_string()).await?;
        let draft = Draft::read(bus, cart).await?;
        let plan = draft.plan(checkout, context, (bus.world().now)());
        result = match plan {
            Ok(plan) => bus.execute(plan.keyed(Some(key), json!({ "order_id": order_id }))).await,
            // A refusal is only worth something if it was made on a state that holds.
            Err(refusal) => match bus.execute(draft.unchanged(checkout.cart_id, context)).await {
                Ok(_) => Err(ExecuteError::Rejected(vec![refusal])),
                Err(error) => Err(error),
            },
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
        placed_at: executed.recorded_at.unwrap_or_else(bus.world().now),
        position: executed.position,
        replayed: executed.replayed,
    })
}

fn has_code(rejections: &[Box<dyn Rejection>], code: &str) -> bool {
    rejections.iter().any(|rejection| rejection.code() == code)
}

/// Every line that is out of stock in one answer, so that the customer mends the cart once.
fn merge_shortages(error: ExecuteError) -> ExecuteError {
    let ExecuteError::Rejected(rejections) = error else { return error };
    let shortages: Vec<Shortage> = rejections
        .iter()
        .filter(|rejection| rejection.code() == "out_of_stock")
        .filter_map(|rejection| rejection.extra())
        .filter_map(|extra| extra.get("lines").and_then(Value::as_array).cloned())
        .flatten()
        .filter_map(|line| {
            Some(Shortage {
                sku: Sku::parse(line.get("sku")?.as_str()?).ok()?,
                requested: u32::try_from(line.get("requested")?.as_u64()?).ok()?,
                available: line.get("available")?.as_u64()?,
            })
        })
        .collect();
    // A cart that changed explains everything else.
    if shortages.is_empty() || has_code(&rejections, "cart_changed") {
        return ExecuteError::Rejected(rejections);
    }
    ExecuteError::Rejected(vec![Box::new(CheckoutRejection::OutOfStock { lines: shortages })])
}

/// A cart with the products of its lines, as they were read for one plan.
struct Draft {
    cart: Loaded<Cart>,
    products: BTreeMap<Uuid, Loaded<Product>>,
}

impl Draft {
    async fn read(bus: &Bus, cart: Loaded<Cart>) -> Result<Self, ExecuteError> {
        let mut products = BTreeMap::new();
        for line in &cart.state.lines {
            if let Entry::Vacant(place) = products.entry(line.product_id) {
                place.insert(bus.peek::<Product>(&line.product_id.to_string()).await?);
            }
        }
        Ok(Self { cart, products })
    }

    /// The price of one piece today; none when it is not sold any more.
    fn price(&self, product_id: Uuid, sku: &Sku) -> Option<Money> {
        let product = &self.products.get(&product_id)?.state;
        (product.status == ProductStatus::Published).then(|| product.price(sku)).flatten()
    }

    /// Is everything still sold, at the price that the customer saw?
    fn check(&self, expected_total: Option<Money>) -> Result<(), Box<dyn Rejection>> {
        let cart = &self.cart.state;
        if cart.lines.is_empty() {
            return Err(Box::new(CartRejection::CartIsEmpty));
        }
        let not_sold: Vec<Shortage> = cart
            .lines
            .iter()
            .filter(|line| self.price(line.product_id, &line.sku).is_none())
            .map(|line| Shortage {
                sku: line.sku.clone(),
                requested: line.quantity.get(),
                available: 0,
            })
            .collect();
        if !not_sold.is_empty() {
            return Err(Box::new(CheckoutRejection::OutOfStock { lines: not_sold }));
        }
        let (_, totals) = self.priced()?;
        let agreed = match expected_total {
            Some(expected) => expected == totals.total,
            None => cart.total().ok().flatten() == Some(totals.total),
        };
        if agreed {
            return Ok(());
        }
        let changed = cart.lines.iter().filter_map(|line| {
            let now = self.price(line.product_id, &line.sku)?;
            let change = PriceChange { sku: line.sku.clone(), seen: line.unit_price, now };
            (now != line.unit_price).then_some(change)
        });
        Err(Box::new(CheckoutRejection::PriceChanged {
            total: totals.total,
            lines: changed.collect(),
        }))
    }

    /// Lines and totals at today's prices. Shipping and tax are nothing for now.
    fn priced(&self) -> Result<(Vec<OrderLine>, Totals), Box<dyn Rejection>> {
        let out_of_range = |_| Box::new(CartRejection::TotalOutOfRange) as Box<dyn Rejection>;
        let mut lines = Vec::with_capacity(self.cart.state.lines.len());
        let mut items: Option<Money> = None;
        for line in &self.cart.state.lines {
            let unit_price = self.price(line.product_id, &line.sku).unwrap_or(line.unit_price);
            let total = unit_price.times(line.quantity.get()).map_err(out_of_range)?;
            items = Some(match items {
                Some(sum) => sum.plus(total).map_err(out_of_range)?,
                None => total,
            });
            lines.push(OrderLine {
                sku: line.sku.clone(),
                product_id: line.product_id,
                name: line.name.clone(),
                picture: line.picture.clone(),
                quantity: line.quantity.get(),
                unit_price,
                total,
            });
        }
        let Some(items) = items else { return Err(Box::new(CartRejection::CartIsEmpty)) };
        let nothing = Money::zero(items.currency());
        let totals =
            Totals { items, discount: nothing, shipping: nothing, tax: nothing, total: items };
        Ok((lines, totals))
    }

    /// A plan that changes nothing and succeeds if everything is as it was read.
    fn unchanged(&self, cart_id: Uuid, context: &Context) -> Plan {
        let plan = Plan::new(context).unchanged::<Cart>(cart_id.to_string(), self.cart.head);
        self.products_unchanged(plan)
    }

    fn products_unchanged(&self, plan: Plan) -> Plan {
        self.products.iter().fold(plan, |plan, (product_id, product)| {
            plan.unchanged::<Product>(product_id.to_string(), product.head)
        })
    }

    /// Order, cart, stock and the first payment, all or nothing.
    fn plan(
        &self,
        checkout: &Checkout,
        context: &Context,
        now: Timestamp,
    ) -> Result<Plan, Box<dyn Rejection>> {
        if checkout.cart_version.is_some_and(|version| version != self.cart.sequence) {
            return Err(Box::new(CartRejection::CartChanged));
        }
        self.check(checkout.expected_total)?;
        let (lines, totals) = self.priced()?;
        let order_id = checkout.order_id;
        let pay_by = now.plus_seconds(PAY_WITHIN_SECONDS);
        let ordered: Vec<(Sku, Quantity)> =
            self.cart.state.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();

        let place = OrderCommand::Place {
            number: checkout.number,
            customer_id: checkout.customer_id,
            cart_id: checkout.cart_id,
            lines,
            totals,
            contact: checkout.contact.clone(),
            pay_by,
        };
        let mut plan = Plan::new(context).step::<Order>(order_id.to_string(), place).step::<Cart>(
            checkout.cart_id.to_string(),
            CartCommand::CheckOut { order_id, lines: ordered.clone() },
        );
        for (sku, quantity) in ordered {
            let stock_item_id = sku.to_string();
            let reserve = StockCommand::Reserve { sku, order_id, quantity, until: pay_by };
            plan = plan.step::<StockItem>(stock_item_id, reserve);
        }
        if let Some(payment) = &checkout.payment {
            let request = PaymentCommand::Request {
                order_id,
                customer_id: checkout.customer_id,
                amount: totals.total,
                method: payment.method.clone(),
            };
            plan = plan.step::<Payment>(payment.payment_id.to_string(), request).step::<Order>(
                order_id.to_string(),
                OrderCommand::StartPayment { payment_id: payment.payment_id },
            );
        }
        Ok(self.products_unchanged(plan))
    }
}
