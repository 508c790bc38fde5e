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

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::cart::Cart;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "carts";

/// Keeps the carts.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[Cart::TYPE],
    tables: &[view::CartView::TABLE],

    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
