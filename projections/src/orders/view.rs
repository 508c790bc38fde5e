use crate::rows::Row;
use domain::order::{Order, OrderLine, OrderStatus, Totals};
use domain::payment::{Captures, PaymentStatus};
use domain::{
    CartId, Money, OrderContact, OrderId, PaymentId, Position, Sealed, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// The stream's id.
    pub order_id: OrderId,
    /// A small positive number for people.
    pub number: i32,
    /// The user who ordered.
    pub customer_id: UserId,
    /// The cart it came from.
    pub cart_id: CartId,
    /// Where it is on its way.
    pub status: OrderStatus,
    /// At least one, frozen when the order was placed.
    pub lines: Vec<OrderLine>,
    /// What it costs.
    pub totals: Totals,
    /// Whom it belongs to and where it goes; the vault opens it, until the customer is erased.
    pub contact: Sealed<OrderContact>,
    /// Until when it can be paid.
    pub pay_by: Timestamp,
    /// When it was recorded.
    pub placed_at: Timestamp,
    /// The journal position of its first event; newest first is highest first.
    pub placed_position: Position,
    /// The status of the payment that was asked for last, as its payer sees it: `failed` when what
    /// was taken does not pay. None when none was asked for. Joined in by the queries, not a column.
    #[serde(default, skip_serializing)]
    pub payment_status: Option<PaymentStatus>,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied to it or, in answers, to its payments.
    pub position: Position,
}

impl OrderView {
    /// The row that an order's state is shown by, without what its payments say; none before it was placed.
    /// `placed` is when it was recorded, and at which position.
    #[must_use]
    pub fn of(
        order_id: OrderId,
        order: &Order,
        placed: (Timestamp, Position),
        version: u64,
        position: Position,
    ) -> Option<Self> {
        let (placed_at, placed_position) = placed;
        Some(Self {
            order_id,
            number: order.number?,
            customer_id: order.customer_id?,
            cart_id: order.cart_id?,
            status: order.status,
            lines: order.lines.clone(),
            totals: order.totals?,
            contact: order.contact.clone()?,
            pay_by: order.pay_by?,
            placed_at,
            placed_position,
            payment_status: None,
            version,
            position,
        })
    }
}

impl Row for OrderView {
    type Key = OrderId;
    const TABLE: &'static str = "orders";
    const KEY: (&'static str, &'static str) = ("order_id", "uuid");
    const COLUMNS: &'static str = "order_id, number, customer_id, cart_id, status, lines, totals, \
         contact, pay_by, placed_at, placed_position, version, position";

    fn key(&self) -> OrderId {
        self.order_id
    }
}

/// One attempt to pay for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentView {
    /// The stream's id.
    pub payment_id: PaymentId,
    /// What it is for.
    pub order_id: OrderId,
    /// Who pays.
    pub customer_id: UserId,
    /// The kind of payment, e.g. `card`.
    pub method: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What was asked for.
    pub amount: Money,
    /// Why it was declined or failed.
    pub failure_code: Option<String>,
    /// Where the customer has to go while the status is `action_required`.
    pub action_url: Option<String>,
    /// No order waits for this money, or for some of it; it has to go back.
    pub orphaned: bool,
    /// What was taken, and what of it has to go back.
    pub captured: Captures,
    /// What the provider said where an amount should stand; none when it said amounts.
    pub capture_unreadable: Option<String>,
    /// Something was taken, and the order took none of it.
    pub pays_nothing: bool,
    /// The journal position of its first event: the order's last payment has the highest.
    pub requested_position: Position,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied.
    pub position: Position,
}

impl Row for PaymentView {
    type Key = PaymentId;
    const TABLE: &'static str = "payments";
    const KEY: (&'static str, &'static str) = ("payment_id", "uuid");
    const COLUMNS: &'static str = "payment_id, order_id, customer_id, method, status, amount, \
         failure_code, action_url, orphaned, captured, capture_unreadable, pays_nothing, \
         requested_position, version, position";

    fn key(&self) -> PaymentId {
        self.payment_id
    }
}
