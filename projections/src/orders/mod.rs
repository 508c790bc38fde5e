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

use crate::projection::{ApplyError, Projection, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::order::Order;
use domain::payment::Payment;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "orders";

/// Keeps orders and their payments.
#[derive(Debug, Clone, Copy)]
pub struct Orders;

impl Projection for Orders {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        2
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[Order::TYPE, Payment::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &[view::OrderView::TABLE, view::PaymentView::TABLE]
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
        // An order and each of its payments: their rows know nothing of each other.
        Some(stream(event))
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(apply::apply(conn, events))
    }
}
