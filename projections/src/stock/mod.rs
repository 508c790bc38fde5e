//! How many pieces of a SKU are there, and how many of them can be sold?
//!
//! Every row is made of one stock item's events. Catalogue and cart show what is left, so their queries join
//! these rows: whoever reads them waits for both read models.

mod apply;
mod query;
mod view;

pub use query::{by_sku, list};
pub use view::StockView;

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::stock::StockItem;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "stock";

/// Keeps the stock of every SKU.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[StockItem::TYPE],
    tables: &[view::StockView::TABLE],
    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
