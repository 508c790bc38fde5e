//! Which SKUs are taken, and how they are spelled.
//!
//! A stock item's stream is named by its SKU as whoever took it spelled it. Two that differ in case only are one: the event
//! that takes a SKU has a tag of its folded form, so it is found by any spelling, and a new one is taken with the
//! expectation that nobody has that tag (`docs/decisions/0033-what-differs-in-case-only-is-one.md`).

use domain::{Rejection, RejectionKind, Sku, Tag};
use sqlx::PgPool;

/// A SKU that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// In the spelling in which it is taken; as it was named, when it is not.
    pub sku: Sku,
    /// Whether it is taken. That is for ever; that it is not may be over the next moment.
    pub is_taken: bool,
}

/// The same SKUs in the same order, each in the spelling in which it is taken. Of those that were taken in several, when they
/// still could be, the one that was named, else the oldest.
///
/// # Errors
/// When the tags cannot be read.
pub async fn spelled(pool: &PgPool, skus: Vec<Sku>) -> Result<Vec<Spelled>, sqlx::Error> {
    let tags: Vec<String> = skus.iter().map(|sku| Tag::of_sku(sku).to_string()).collect();
    let taken: Vec<String> = sqlx::query_scalar(
        "select e.aggregate_id from event_tags g join events e on e.position = g.position \
          where g.tag = any($1) order by g.position",
    )
    .bind(tags)
    .fetch_all(pool)
    .await?;
    let taken: Vec<Sku> = taken.into_iter().filter_map(|sku| Sku::parse(sku).ok()).collect();
    let spelled = skus.into_iter().map(|named| {
        let as_named = taken.contains(&named).then_some(&named);
        let found = as_named.or_else(|| taken.iter().find(|taken| taken.is_same(&named)));
        Spelled { is_taken: found.is_some(), sku: found.unwrap_or(&named).clone() }
    });
    Ok(spelled.collect())
}

/// Somebody took the SKU, or the same one in another case, at this very moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SKU belongs to another product")]
pub struct SkuTaken;

impl Rejection for SkuTaken {
    fn code(&self) -> &'static str {
        "sku_taken"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}
