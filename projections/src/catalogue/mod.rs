//! What is on sale, what does it cost, and is there any left?
//!
//! Products with their variants, the stock of every SKU, categories with counts. A product row
//! stays for ever, drafts and retired ones too: lists show what is published, whoever asks by id
//! or number decides what to show.
//!
//! **Search** is full-text with typo tolerance on any plain PostgreSQL: no extension, and the same
//! on every server's locale, because words are cut and folded here (`search.rs`). PostgreSQL stems,
//! matches and ranks them (`tsvector`). A word of the query that no published product has is
//! looked up in the vocabulary of those that do (`catalogue_words`) by symmetric deletion: at most
//! one edit for words of three to five letters, two for longer ones, a transposition counting as
//! one. Trigram similarity was the alternative: it needs an extension, and at shop lengths it
//! finds neither `mosue` nor Chinese.

mod apply;
mod deltas;
mod list;
mod query;
mod search;
#[cfg(test)]
mod tests;
mod view;

pub use list::{ProductFilter, ProductSort, list};
pub use query::{by_id, by_number, categories, stock_by_sku, stock_list, variants_by_sku};
pub use view::{CategoryView, OfferView, ProductView, StockView, VariantView};

use crate::projection::{ApplyError, Projection, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::product::Product;
use domain::stock::StockItem;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "catalogue";

/// Keeps products, stock and categories.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue;

impl Projection for Catalogue {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[Product::TYPE, StockItem::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &[
            view::ProductRow::TABLE,
            view::VariantRow::TABLE,
            view::CategoryView::TABLE,
            view::WordRow::TABLE,
            view::StockView::TABLE,
        ]
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
        // A product with its variants, the stock of a SKU: what products share are counts, which they
        // only add to.
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
