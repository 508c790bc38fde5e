//! What is in somebody's cart?
//!
//! A cart's read model is its state, so the events are folded by the aggregate's own `apply`: one
//! meaning of "adding a SKU again adds to its line". Prices are those last written to the cart;
//! the checkout compares them with the catalogue's.

mod apply;
mod query;
mod view;

pub use query::{by_id, by_owner};
pub use view::CartView;

use crate::projection::{ApplyError, Projection, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::cart::Cart;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "carts";

/// Keeps the carts.
#[derive(Debug, Clone, Copy)]
pub struct Carts;

impl Projection for Carts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[Cart::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &[view::CartView::TABLE]
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
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
