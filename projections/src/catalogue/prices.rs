//! What products cost in each currency, for lists that are sorted by price.

use super::view::{ProductRow, VariantRow};
use domain::{Currency, ProductId};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The table, a row a product and currency.
pub(super) const TABLE: &str = "product_prices";

/// Sets of currencies that are looked at, those of most products first. Nobody has so many.
const MAX_SETS: i64 = 1_000;

/// The sets of currencies without this one that products have prices in; usually none.
pub(super) async fn without(pool: &PgPool, currency: Currency) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select currencies from catalogue_currencies where strpos(currencies, $1) = 0 \
         order by products desc, currencies limit $2",
    )
    .bind(currency.as_str())
    .bind(MAX_SETS)
    .fetch_all(pool)
    .await
}

/// The prices of the products of a batch, each product whole.
#[derive(Default)]
pub(super) struct Prices {
    products: Vec<Uuid>,
    rows: BTreeMap<(ProductId, Currency), Price>,
}

struct Price {
    status: &'static str,
    price_minor: i64,
    number: i32,
}

impl Prices {
    /// Takes in what the product costs, by its variants that are sold.
    pub(super) fn put(&mut self, product: &ProductRow, sold: &[&VariantRow]) {
        let ProductRow { product_id, number, status, .. } = product;
        self.products.push(product_id.uuid());
        for variant in sold {
            let (Some(currency), Some(price_minor)) = (variant.currency, variant.price_minor)
            else {
                continue;
            };
            let price = Price { status: status.as_str(), price_minor, number: *number };
            let lowest = self.rows.entry((*product_id, currency)).or_insert(price);
            lowest.price_minor = lowest.price_minor.min(price_minor);
        }
    }

    /// Writes the rows in the place of those that the products had; two statements.
    pub(super) async fn save(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (mut ids, mut currencies) = (vec![], vec![]);
        let (mut statuses, mut prices, mut numbers) = (vec![], vec![], vec![]);
        for ((product_id, currency), Price { status, price_minor, number }) in self.rows {
            ids.push(product_id.uuid());
            currencies.push(currency.as_str().to_owned());
            statuses.push(status);
            prices.push(price_minor);
            numbers.push(number);
        }
        sqlx::query(
            "delete from product_prices m where product_id = any($1) and not exists \
             (select from unnest($2::uuid[], $3::text[]) as kept (product_id, currency) \
              where kept.product_id = m.product_id and kept.currency = m.currency)",
        )
        .bind(&self.products)
        .bind(&ids)
        .bind(&currencies)
        .execute(&mut *conn)
        .await?;
        sqlx::query(
            "insert into product_prices as m (product_id, currency, status, price_minor, number) \
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::integer[]) \
             on conflict (product_id, currency) do update set \
               status = excluded.status, price_minor = excluded.price_minor, \
               number = excluded.number \
             where (m.status, m.price_minor, m.number) \
               is distinct from (excluded.status, excluded.price_minor, excluded.number)",
        )
        .bind(ids)
        .bind(currencies)
        .bind(statuses)
        .bind(prices)
        .bind(numbers)
        .execute(conn)
        .await?;
        Ok(())
    }
}
