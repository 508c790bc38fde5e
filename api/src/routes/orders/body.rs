use crate::application::App;
use crate::http::{Cursor, Limit, Problem};
use crate::openapi::schema::{self, answers};
use commands::bus::Loaded;
use domain::order::{Order, OrderLine, OrderStatus, Totals};
use domain::payment::PaymentStatus;
use domain::{Address, EmailAddress, OrderContact, OrderId, Position, Sealed, Timestamp, UserId};
use projections::orders::OrderView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

answers!(OrderBody);

/// The word for having no payment.
const NO_PAYMENT: &str = "none";

/// An order as its owner sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::routes) struct OrderBody {
    pub(super) id: OrderId,
    /// A small positive number for people.
    #[schemars(range(min = 1))]
    pub(super) number: i32,
    pub(super) status: OrderStatus,
    pub(super) lines: Vec<OrderLine>,
    pub(super) totals: Totals,
    /// Null after the customer was erased.
    pub(super) email: Option<EmailAddress>,
    /// Null after the customer was erased.
    pub(super) shipping_address: Option<Address>,
    /// The last payment's status, or `none`.
    #[schemars(extend("enum" = payment_statuses()))]
    pub(super) payment_status: &'static str,
    /// Until when it can be paid.
    pub(super) pay_by: Timestamp,
    pub(super) placed_at: Timestamp,
    pub(super) version: u64,
}

/// Every word of `payment_status`.
fn payment_statuses() -> Vec<Value> {
    let mut words = schema::words_of::<PaymentStatus>();
    words.push(NO_PAYMENT.into());
    words
}

/// A page of orders.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderListParams {
    /// How many items at most.
    #[serde(default)]
    pub(super) limit: Limit,
    /// The last page's `next_cursor`.
    pub(super) cursor: Option<Cursor>,
}

pub(super) async fn from_view(app: &App, view: OrderView) -> Result<OrderBody, Problem> {
    let (email, shipping_address) = open(app, view.customer_id, &view.contact).await?;
    Ok(OrderBody {
        id: view.order_id,
        number: view.number,
        status: view.status,
        lines: view.lines,
        totals: view.totals,
        email,
        shipping_address,
        payment_status: view.payment_status.map_or(NO_PAYMENT, PaymentStatus::as_str),
        pay_by: view.pay_by,
        placed_at: view.placed_at,
        version: view.version,
    })
}

/// The order as a command left it, for an answer that waits for no read model.
pub(in crate::routes) async fn from_aggregate(
    app: &App,
    order_id: OrderId,
    order: &Loaded<Order>,
    placed_at: Timestamp,
    payment_status: Option<PaymentStatus>,
) -> Result<OrderBody, Problem> {
    let view = OrderView::of(
        order_id,
        &order.state,
        (placed_at, Position::START),
        order.sequence,
        Position::START,
    );
    let view = view.ok_or_else(Problem::not_found)?;
    from_view(app, OrderView { payment_status, ..view }).await
}

pub(super) async fn open(
    app: &App,
    customer_id: UserId,
    contact: &Sealed<OrderContact>,
) -> Result<(Option<EmailAddress>, Option<Address>), Problem> {
    let contact = app.vault.open(customer_id, contact).await?;
    Ok(contact.map(|contact| (contact.email, contact.shipping_address)).unzip())
}
