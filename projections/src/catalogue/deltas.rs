//! What a batch changes in the tables that count over products: categories, words, and sets of currencies.

use super::typos;
use super::view::{CategoryView, CurrenciesRow, ProductRow, WordRow};
use crate::rows::{Row, Rows};
use domain::Slug;
use domain::product::ProductStatus;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// How much the counts change, by what is counted.
#[derive(Default)]
pub(super) struct Deltas {
    categories: BTreeMap<Slug, i64>,
    words: BTreeMap<String, i64>,
    currencies: BTreeMap<String, i64>,
}

impl Deltas {
    /// Counts a product out, as it was before the batch.
    pub(super) fn leave(&mut self, product: &ProductRow) {
        self.add(product, -1);
    }

    /// Counts a product in, as it is after the batch.
    pub(super) fn enter(&mut self, product: &ProductRow) {
        self.add(product, 1);
    }

    fn add(&mut self, product: &ProductRow, by: i64) {
        *self.currencies.entry(product.currencies.clone()).or_default() += by;
        if product.status != ProductStatus::Published {
            return;
        }
        let categories: BTreeSet<&Slug> = product.categories.iter().collect();
        for slug in categories {
            *self.categories.entry(slug.clone()).or_default() += by;
        }
        for word in &product.words {
            *self.words.entry(word.clone()).or_default() += by;
        }
    }

    /// Changes the counts; what nobody uses any more loses its row.
    pub(super) async fn save(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        count(conn, self.categories, |slug: Slug| CategoryView {
            name: slug.to_string(),
            slug,
            product_count: 0,
        })
        .await?;
        count(conn, self.words, |word: String| WordRow {
            deletions: typos::deletions(&word),
            word,
            uses: 0,
        })
        .await?;
        count(conn, self.currencies, |currencies| CurrenciesRow { currencies, products: 0 }).await
    }
}

trait Counted: Row {
    fn count_mut(&mut self) -> &mut u64;
}

impl Counted for CategoryView {
    fn count_mut(&mut self) -> &mut u64 {
        &mut self.product_count
    }
}

impl Counted for WordRow {
    fn count_mut(&mut self) -> &mut u64 {
        &mut self.uses
    }
}

impl Counted for CurrenciesRow {
    fn count_mut(&mut self) -> &mut u64 {
        &mut self.products
    }
}

async fn count<R: Counted>(
    conn: &mut PgConnection,
    changes: BTreeMap<R::Key, i64>,
    first: impl Fn(R::Key) -> R,
) -> Result<(), sqlx::Error> {
    let changes: BTreeMap<_, _> = changes.into_iter().filter(|(_, by)| *by != 0).collect();
    let mut rows = Rows::<R>::load(conn, &changes.keys().cloned().collect()).await?;
    for (key, by) in changes {
        if rows.get(&key).is_none() {
            rows.put(first(key.clone()));
        }
        if let Some(row) = rows.get_mut(&key) {
            let count = row.count_mut();
            *count = count.saturating_add_signed(by);
            if *count == 0 {
                rows.remove(&key);
            }
        }
    }
    rows.save(conn).await
}
