use super::collate::SortKey;
use super::view::{CategoryView, OfferView, ProductView};
use crate::page::QueryError;
use domain::{Position, ProductId, Sku};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder};

/// Categories in the list of all of them; a shop with more has a tree, not a list.
const MAX_CATEGORIES: i64 = 1_000;

/// SKUs in one question; ten times the lines of the largest cart.
const MAX_SKUS: usize = 1_000;

/// One product in whatever status.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_id(
    pool: &PgPool,
    product_id: ProductId,
) -> Result<Option<ProductView>, QueryError> {
    let mut query = select(None, false);
    query.push(" where p.product_id = ").push_bind(product_id.uuid());
    one(pool, query).await
}

/// The product that has, or once had, a variant of this number, in whatever status.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_number(pool: &PgPool, number: i32) -> Result<Option<ProductView>, QueryError> {
    let mut query = select(None, false);
    query
        .push(" where p.product_id = (select product_id from product_variants where number = ")
        .push_bind(number)
        // Numbers are given out once; should two products claim one, who sells it wins.
        .push(" order by sold desc, product_id limit 1)");
    one(pool, query).await
}

/// What a cart and a checkout need to know of these SKUs, in no particular order; a SKU that no
/// product ever had is left out. At most 1,000 are looked up.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn variants_by_sku(pool: &PgPool, skus: &[Sku]) -> Result<Vec<OfferView>, QueryError> {
    let skus: Vec<&str> = skus.iter().take(MAX_SKUS).map(Sku::as_str).collect();
    let found: Vec<Json<OfferView>> = sqlx::query_scalar(
        "select row_to_json(r) from (\
         select v.sku, v.number, v.product_id, p.name as product_name, v.name as variant_name, \
                p.picture, \
                case when v.price_minor is not null then \
                  json_build_object('amount', v.price_minor, 'currency', v.currency) end as price, \
                (v.sold and p.status = 'published') as on_sale, \
                greatest(coalesce(s.on_hand - s.reserved, 0), 0) as available, \
                greatest(p.position, s.position) as position \
         from product_variants v join products p on p.product_id = v.product_id \
         left join stock s on s.sku = v.sku \
         where v.sku = any($1)) r",
    )
    .bind(skus)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|Json(offer)| offer).collect())
}

/// The categories that have published products, by slug; at most 1,000.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn categories(pool: &PgPool) -> Result<Vec<CategoryView>, QueryError> {
    let found: Vec<Json<CategoryView>> = sqlx::query_scalar(
        "select row_to_json(r) from (select slug, name, product_count from categories \
         order by slug limit $1) r",
    )
    .bind(MAX_CATEGORIES)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|Json(category)| category).collect())
}

/// A product with what it was sorted by.
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub(super) product: ProductView,
    pub(super) name_key: SortKey,
    /// In the currency that was sorted by; none without, or otherwise sorted.
    pub(super) price_minor: Option<i64>,
    pub(super) created_position: Position,
    pub(super) rank: f32,
}

/// Opens the statement that reads products `p`, with their prices `m` or without: the caller goes on with which ones,
/// in which order and how many, and [`finish`] adds variants and stock. One statement, so all of it is of one
/// snapshot; only the products on the page are joined.
pub(super) fn select(
    match_text: Option<&str>,
    with_prices: bool,
) -> QueryBuilder<'static, Postgres> {
    let rank = if match_text.is_some() { "ts_rank(p.document, q.query)" } else { "0::real" };
    let (price, products) = match with_prices {
        true => {
            ("m.price_minor", "product_prices m join products p on p.product_id = m.product_id")
        }
        false => ("null::bigint", "products p"),
    };
    let mut query = QueryBuilder::new(format!(
        "select row_to_json(r) from (\
         select p.product_id, p.number, p.name, p.description, p.picture, p.categories, p.status, \
                v.variants, p.version, greatest(p.position, v.position) as position, \
                p.name_key, p.price_minor, p.created_position, p.rank \
         from (select p.product_id, p.number, p.name, p.description, p.picture, p.categories, \
                      p.status, p.version, p.position, p.name_key, {price} as price_minor, \
                      p.created_position, {rank} as rank \
               from {products}"
    ));
    if let Some(expression) = match_text {
        // Stemmed, or exactly as written: a name may consist of words that stemming drops.
        query.push(" cross join (select to_tsquery('english', ");
        query.push_bind(expression.to_owned()).push(") || to_tsquery('simple', ");
        query.push_bind(expression.to_owned()).push(") as query) q");
    }
    query
}

/// Closes what [`select`] opened, and runs it.
pub(super) async fn finish(
    pool: &PgPool,
    mut query: QueryBuilder<'_, Postgres>,
    order_by: &str,
) -> Result<Vec<Listed>, QueryError> {
    query.push(format!(
        ") p cross join lateral (\
           select coalesce(json_agg(json_build_object(\
                    'sku', v.sku, 'number', v.number, 'name', v.name, \
                    'price', case when v.price_minor is not null then \
                      json_build_object('amount', v.price_minor, 'currency', v.currency) end, \
                    'available', greatest(coalesce(s.on_hand - s.reserved, 0), 0)) \
                    order by v.ordinal), '[]'::json) as variants, max(s.position) as position \
           from product_variants v left join stock s on s.sku = v.sku \
           where v.product_id = p.product_id and v.sold) v{order_by}) r"
    ));
    let found: Vec<Json<Listed>> = query.build_query_scalar().fetch_all(pool).await?;
    Ok(found.into_iter().map(|Json(row)| row).collect())
}

async fn one(
    pool: &PgPool,
    query: QueryBuilder<'_, Postgres>,
) -> Result<Option<ProductView>, QueryError> {
    Ok(finish(pool, query, "").await?.pop().map(|row| row.product))
}
