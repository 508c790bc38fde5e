//! What is on sale, what does it cost, and is there any left?
//!
//! Products with their variants, categories with counts; what is left of a SKU is joined from [`stock`](crate::stock). A product row
//! stays for ever, drafts and retired ones too: lists show what is published, whoever asks by id
//! or number decides what to show.
//!
//! **Search** is full-text with typo tolerance on any plain PostgreSQL: no extension, and the same
//! on every server's locale. Words are folded (`fold.rs`) and cut (`search.rs`) here, names and SKUs as well as
//! descriptions, so that case, accents, width and composition do not matter; PostgreSQL stems,
//! matches and ranks them (`tsvector`). A word of the query that no published product has is
//! looked up in the vocabulary of those that do (`catalogue_words`) by symmetric deletion (`typos.rs`): at most
//! one edit for words of three to five letters, two for longer ones, a transposition counting as
//! one; of the last word, which may still be typed, its beginning is looked up. Trigram similarity was the
//! alternative: it needs an extension, and at shop lengths it finds neither `mosue` nor Chinese.
//!
//! **Names** are sorted by keys that are made here (`collate.rs`), **prices** within one currency
//! (`product_prices`). See docs/decisions/0006 and 0034.

mod apply;
mod collate;
mod deltas;
mod fold;
mod list;
mod matching;
mod order;
mod prices;
mod query;
mod search;
#[cfg(test)]
mod tests;
mod typos;
mod view;

pub use list::{ProductFilter, ProductSort, list};
pub use query::{by_id, by_number, categories, variants_by_sku};
pub use view::{CategoryView, OfferView, ProductView, VariantView};

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::product::Product;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "catalogue";

/// The read models that answers about products are made of.
pub const READS: &[&str] = &[NAME, crate::stock::NAME];

/// Keeps products, stock and categories.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 2,
    aggregates: &[Product::TYPE],
    tables: &[
        view::ProductRow::TABLE,
        view::VariantRow::TABLE,
        view::CategoryView::TABLE,
        view::WordRow::TABLE,
        view::CurrenciesRow::TABLE,
        prices::TABLE,
    ],
    // A product with its variants: what products share are counts, which they
    // only add to.
    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
