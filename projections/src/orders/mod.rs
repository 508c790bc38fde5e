//! What was ordered, by whom, and is it paid?
//!
//! An order shows its own status and that of its last payment. Both streams feed this one read
//! model, so that a customer never sees a paid order whose payment is unknown here. The contact
//! stays sealed: it is opened at the edge, and after an erasure by nobody.

mod apply;
mod query;
mod view;

pub use query::{
    OrderFilter, PaymentFilter, by_customer, by_id, list, list_payments, payment_by_id, payments_of,
};
pub use view::{OrderView, PaymentView};

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::order::Order;
use domain::payment::Payment;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "orders";

/// Keeps orders and their payments.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 2,
    aggregates: &[Order::TYPE, Payment::TYPE],
    tables: &[view::OrderView::TABLE, view::PaymentView::TABLE],
    // An order and each of its payments: their rows know nothing of each other.
    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
