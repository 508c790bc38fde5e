//! From the cart to an order, and to its first payment.

use super::payments::{self, Asked, Instrument};
use super::{App, Call, Failure, Payer};
use crate::limits::network;
use commands::bus::Loaded;
use commands::checkout::{self, Checkout, StartedPayment};
use commands::payments::Attempt;
use domain::order::Order;
use domain::{CartId, Money, OrderContact, OrderId, Position, Timestamp, UserId};
use std::net::IpAddr;
use std::sync::Arc;

pub use commands::checkout::Quote;

/// What to order.
pub struct CheckOut {
    /// The cart's version that was seen; another one is refused.
    pub cart_version: Option<u64>,
    /// The total that is agreed to. Without it the prices last written to the cart count.
    pub expected_total: Option<Money>,
    /// Where mails and the parcel go.
    pub contact: OrderContact,
    /// How to pay at once; without it the order waits for a payment, unless its total is zero.
    pub payment: Option<Instrument>,
    /// From where; none for load generators, whose unpaid orders nothing bounds.
    pub from: Option<IpAddr>,
}

/// What networks have pseudonyms for.
const ADDRESS_OF_ORDER: &str = "address of an order";

/// What was ordered.
pub struct CheckedOut {
    /// Which order.
    pub order_id: OrderId,
    /// The order, after its payment if there was one.
    pub order: Loaded<Order>,
    /// Where its row is once a read model shows all of this.
    pub order_position: Position,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// The payment, if one was asked for.
    pub payment: Option<Asked>,
    /// The position to wait for.
    pub position: Position,
    /// Whether this had been done before, under the same key.
    pub replayed: bool,
}

/// Orders the cart of `member_id`: stock reserved, order placed, cart emptied, all or nothing. With a payment
/// the money is asked for as well. A caller who leaves cuts nothing off.
///
/// # Errors
/// [`Failure::InProgress`] while the same call is being worked on; [`Failure::TooManyDeclines`] with a payment; what the
/// checkout refuses.
///
/// # Panics
/// Without a key, which no edge may let through.
pub async fn check_out(
    app: Arc<App>,
    call: Call,
    member_id: UserId,
    request: CheckOut,
) -> Result<CheckedOut, Failure> {
    let key = call.key.expect("a checkout has a key");
    let in_flight = app.in_flight.clone();
    in_flight.run(key, place_and_pay(app, call, member_id, request)).await
}

async fn place_and_pay(
    app: Arc<App>,
    call: Call,
    member_id: UserId,
    request: CheckOut,
) -> Result<CheckedOut, Failure> {
    let key = call.request_key().expect("a checkout has a key");
    let order_id = call.new_id("order", app.world);
    let payment = request.payment.map(|payment| (call.new_id("payment", app.world), payment));
    let payer = payment.as_ref().map(|(_, Instrument { token, .. })| Payer {
        order_id,
        user_id: member_id,
        from: request.from,
        token,
    });
    if let Some(Err(braked)) = payer.map(|payer| app.declines.check(payer)) {
        app.refuse(call.keyed(call.plan().look::<Order>(&order_id)), braked).await?;
    }
    let checkout = Checkout {
        customer_id: member_id,
        cart_id: CartId::of(member_id),
        cart_version: request.cart_version,
        expected_total: request.expected_total,
        contact: app.vault.seal(member_id, &request.contact).await?,
        order_id,
        number: app.order_numbers.next().await.map_err(Failure::unavailable)?,
        address: request
            .from
            .map(|address| app.bus.pseudonym(ADDRESS_OF_ORDER, &network(address).to_string())),
        payment: payment.as_ref().map(|(payment_id, payment)| StartedPayment {
            payment_id: *payment_id,
            method: payment.method.to_owned(),
        }),
    };
    let placed = checkout::place_order(&app.bus, &checkout, &call.context, key).await?;
    let mut order = placed.order;
    let mut paid = None;
    // An order that costs nothing has no payment, whatever it should have been paid with.
    let is_free = order.state.totals.is_some_and(|totals| totals.is_free());
    let payment = payment.as_ref().filter(|_| !is_free);
    if let (Some((payment_id, payment)), Some(payer)) = (payment, payer) {
        let attempt = if placed.replayed { Attempt::Again } else { Attempt::First };
        let asked =
            payments::ask(&app, *payment_id, payer, payment.method, attempt, &call.context).await?;
        order = app.bus.load(&order_id).await?;
        paid = Some(asked);
    }
    // An order's row moves with its own events and its payments', not with the stock's.
    let order_position = app.position_of::<Order>(&order_id, order.sequence).await?;
    let order_position =
        order_position.max(paid.as_ref().map_or(Position::START, |asked| asked.position));
    Ok(CheckedOut {
        order_id,
        order,
        order_position,
        placed_at: placed.placed_at,
        payment: paid,
        position: placed.position.max(order_position),
        replayed: placed.replayed,
    })
}

/// Prices the cart as a checkout would, without any effect.
///
/// # Errors
/// What the checkout would refuse.
pub async fn quote(
    app: &App,
    member_id: UserId,
    cart_version: Option<u64>,
    expected_total: Option<Money>,
) -> Result<Quote, Failure> {
    Ok(checkout::quote(&app.bus, CartId::of(member_id), cart_version, expected_total).await?)
}
