use super::search;
use super::view::{CategoryView, OfferView, ProductView, StockView};
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::product::ProductStatus;
use domain::{Currency, Sku};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// Categories in the list of all of them; a shop with more has a tree, not a list.
const MAX_CATEGORIES: i64 = 1_000;

/// SKUs in one question; ten times the lines of the largest cart.
const MAX_SKUS: usize = 1_000;

/// Which products a list holds; everything absent means "all".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductFilter {
    /// In this status; what customers see is [`ProductStatus::Published`].
    pub status: Option<ProductStatus>,
    /// In the category of this slug or name, case ignored. One that does not exist has no products.
    pub category: Option<String>,
    /// Full-text, every word of it (the last one as a beginning), tolerant of typing errors.
    pub text: Option<String>,
    /// Priced in this currency.
    pub currency: Option<Currency>,
}

/// The order of a list of products. Ties are broken by number, lowest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProductSort {
    /// The best match first when there is a text to match, else by number.
    #[default]
    Relevance,
    /// By number, lowest first.
    Number,
    /// By name, case folded, by code point.
    Name,
    /// The cheapest first.
    Price,
    /// The dearest first.
    PriceDescending,
    /// The last one created first.
    Newest,
}

/// Products, by the filter and in the order that is asked for.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: &ProductFilter,
    sort: ProductSort,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<ProductView>, QueryError> {
    let text = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let match_text = match text {
        Some(text) => {
            let Some(expression) = search_expression(pool, text).await? else {
                // Nothing but punctuation: there is no product that it could mean.
                return Ok(Page { items: Vec::new(), next_cursor: None });
            };
            Some(expression)
        }
        None => None,
    };
    let order = Order::of(sort, match_text.is_some());
    let after: Option<Cursor> = parse_cursor(cursor)?;
    if after.as_ref().is_some_and(|after| !order.gave_out(after)) {
        return Err(QueryError::InvalidCursor);
    }

    let mut query = select(match_text.as_deref());
    query.push(" where true");
    push_filter(&mut query, filter, match_text.is_some());
    if let Some(after) = &after {
        order.push_after(&mut query, after);
    }
    query.push(order.order_by()).push(" limit ").push_bind(limit.look_ahead()).push(") r");
    let found: Vec<Json<Listed>> = query.build_query_scalar().fetch_all(pool).await?;
    let rows = found.into_iter().map(|Json(row)| row).collect();
    Ok(Page::cut(rows, limit, |last| order.cursor(last)).map(|row: Listed| row.product))
}

/// One product in whatever status.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_id(pool: &PgPool, product_id: Uuid) -> Result<Option<ProductView>, QueryError> {
    let mut query = select(None);
    query.push(" where p.product_id = ").push_bind(product_id).push(") r");
    one(pool, query).await
}

/// The product that has, or once had, a variant of this number, in whatever status.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_number(pool: &PgPool, number: i32) -> Result<Option<ProductView>, QueryError> {
    let mut query = select(None);
    query
        .push(" where p.product_id = (select product_id from product_variants where number = ")
        .push_bind(number)
        // Numbers are given out once; should two products claim one, who sells it wins.
        .push(" order by sold desc, product_id limit 1)) r");
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
                greatest(coalesce(s.on_hand - s.reserved, 0), 0) as available \
         from product_variants v join products p on p.product_id = v.product_id \
         left join stock_items s on s.sku = v.sku \
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
         order by lower(slug), slug limit $1) r",
    )
    .bind(MAX_CATEGORIES)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|Json(category)| category).collect())
}

/// The stock of one SKU.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn stock_by_sku(pool: &PgPool, sku: &Sku) -> Result<Option<StockView>, QueryError> {
    let columns = StockView::COLUMNS;
    let select =
        format!("select row_to_json(r) from (select {columns} from stock_items where sku = $1) r");
    let found: Option<Json<StockView>> =
        sqlx::query_scalar(&select).bind(sku.as_str()).fetch_optional(pool).await?;
    Ok(found.map(|Json(stock)| stock))
}

/// The stock of all SKUs, by SKU.
///
/// # Errors
/// [`QueryError`].
pub async fn stock_list(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<StockView>, QueryError> {
    let after: String = parse_cursor(cursor)?.unwrap_or_default();
    let columns = StockView::COLUMNS;
    let select = format!(
        "select row_to_json(r) from (select {columns} from stock_items where sku > $1 \
         order by sku limit $2) r"
    );
    let found: Vec<Json<StockView>> =
        sqlx::query_scalar(&select).bind(after).bind(limit.look_ahead()).fetch_all(pool).await?;
    let rows = found.into_iter().map(|Json(stock)| stock).collect();
    Ok(Page::cut(rows, limit, |stock: &StockView| stock.sku.clone()))
}

/// A product with what it was sorted by.
#[derive(Deserialize)]
struct Listed {
    #[serde(flatten)]
    product: ProductView,
    sort_name: String,
    sort_price: i64,
    created_position: i64,
    rank: f32,
}

/// Where a page ended. The kind of key tells for which order it was given out.
#[derive(Serialize, Deserialize)]
struct Cursor {
    key: Key,
    number: i32,
    product_id: Uuid,
}

#[derive(Serialize, Deserialize)]
enum Key {
    Rank(f32),
    Number,
    Name(String),
    Price(i64),
    Dear(i64),
    Age(i64),
}

/// The order in SQL's terms.
#[derive(Clone, Copy)]
enum Order {
    Rank,
    Number,
    Name,
    Price,
    Dear,
    Age,
}

impl Order {
    fn of(sort: ProductSort, has_text: bool) -> Self {
        match sort {
            ProductSort::Relevance if has_text => Self::Rank,
            ProductSort::Relevance | ProductSort::Number => Self::Number,
            ProductSort::Name => Self::Name,
            ProductSort::Price => Self::Price,
            ProductSort::PriceDescending => Self::Dear,
            ProductSort::Newest => Self::Age,
        }
    }

    fn order_by(self) -> &'static str {
        match self {
            Self::Rank => " order by rank desc, p.number, p.product_id",
            Self::Number => " order by p.number, p.product_id",
            Self::Name => " order by p.sort_name, p.number, p.product_id",
            Self::Price => " order by p.sort_price, p.number, p.product_id",
            Self::Dear => " order by p.sort_price desc, p.number, p.product_id",
            Self::Age => " order by p.created_position desc, p.number, p.product_id",
        }
    }

    fn cursor(self, last: &Listed) -> Cursor {
        let key = match self {
            Self::Rank => Key::Rank(last.rank),
            Self::Number => Key::Number,
            Self::Name => Key::Name(last.sort_name.clone()),
            Self::Price => Key::Price(last.sort_price),
            Self::Dear => Key::Dear(last.sort_price),
            Self::Age => Key::Age(last.created_position),
        };
        Cursor { key, number: last.product.number, product_id: last.product.product_id }
    }

    fn gave_out(self, cursor: &Cursor) -> bool {
        matches!(
            (self, &cursor.key),
            (Self::Rank, Key::Rank(_))
                | (Self::Number, Key::Number)
                | (Self::Name, Key::Name(_))
                | (Self::Price, Key::Price(_))
                | (Self::Dear, Key::Dear(_))
                | (Self::Age, Key::Age(_))
        )
    }

    /// Only rows that come after the cursor in this order.
    fn push_after(self, query: &mut QueryBuilder<'_, Postgres>, cursor: &Cursor) {
        let tie = (cursor.number, cursor.product_id);
        match &cursor.key {
            Key::Rank(rank) => push_descending(query, "ts_rank(p.document, q.query)", *rank, tie),
            Key::Number => {
                query.push(" and (p.number, p.product_id) > (");
                query.push_bind(tie.0).push(", ").push_bind(tie.1).push(")");
            }
            Key::Name(name) => push_ascending(query, "p.sort_name", name.clone(), tie),
            Key::Price(price) => push_ascending(query, "p.sort_price", *price, tie),
            Key::Dear(price) => push_descending(query, "p.sort_price", *price, tie),
            Key::Age(position) => push_descending(query, "p.created_position", *position, tie),
        }
    }
}

fn push_ascending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    column: &str,
    value: T,
    (number, product_id): (i32, Uuid),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'q,
{
    query.push(format!(" and ({column}, p.number, p.product_id) > (")).push_bind(value);
    query.push(", ").push_bind(number).push(", ").push_bind(product_id).push(")");
}

/// The key falls while the number breaks ties upwards, so one row comparison cannot say it.
fn push_descending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    column: &str,
    value: T,
    (number, product_id): (i32, Uuid),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Copy + Send + 'q,
{
    query.push(format!(" and ({column} < ")).push_bind(value);
    query.push(format!(" or ({column} = ")).push_bind(value);
    query.push(" and (p.number, p.product_id) > (").push_bind(number);
    query.push(", ").push_bind(product_id).push(")))");
}

fn push_filter(query: &mut QueryBuilder<'_, Postgres>, filter: &ProductFilter, has_text: bool) {
    if let Some(status) = filter.status {
        query.push(" and p.status = ").push_bind(status.as_str());
    }
    if let Some(category) = &filter.category {
        query.push(" and exists (select from unnest(p.categories) c where lower(c) = ");
        query.push_bind(category.to_lowercase()).push(")");
    }
    if let Some(currency) = filter.currency {
        query.push(" and exists (select from product_variants c where c.sold");
        query.push(" and c.product_id = p.product_id and c.currency = ");
        query.push_bind(currency.as_str().to_owned()).push(")");
    }
    if has_text {
        query.push(" and p.document @@ q.query");
    }
}

/// Products with variants and stock in one statement, so that all of it is of one snapshot.
fn select(match_text: Option<&str>) -> QueryBuilder<'static, Postgres> {
    let rank = if match_text.is_some() { "ts_rank(p.document, q.query)" } else { "0::real" };
    let mut query = QueryBuilder::new(format!(
        "select row_to_json(r) from (\
         select p.product_id, p.number, p.name, p.description, p.picture, p.categories, p.status, \
                v.variants, p.version, greatest(p.position, v.position) as position, \
                p.sort_name, p.sort_price, p.created_position, {rank} as rank \
         from products p cross join lateral (\
           select coalesce(json_agg(json_build_object(\
                    'sku', v.sku, 'number', v.number, 'name', v.name, \
                    'price', case when v.price_minor is not null then \
                      json_build_object('amount', v.price_minor, 'currency', v.currency) end, \
                    'available', greatest(coalesce(s.on_hand - s.reserved, 0), 0)) \
                    order by v.ordinal), '[]'::json) as variants, max(s.position) as position \
           from product_variants v left join stock_items s on s.sku = v.sku \
           where v.product_id = p.product_id and v.sold) v"
    ));
    if let Some(expression) = match_text {
        // Stemmed, or exactly as written: a name may consist of words that stemming drops.
        query.push(" cross join (select to_tsquery('english', ");
        query.push_bind(expression.to_owned()).push(") || to_tsquery('simple', ");
        query.push_bind(expression.to_owned()).push(") as query) q");
    }
    query
}

async fn one(
    pool: &PgPool,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<Option<ProductView>, QueryError> {
    let found: Option<Json<Listed>> = query.build_query_scalar().fetch_optional(pool).await?;
    Ok(found.map(|Json(row)| row.product))
}

/// What `to_tsquery` shall look for: every word, the last one as a beginning, a word that no
/// product has as any of those near it. None when the text holds no word.
async fn search_expression(pool: &PgPool, text: &str) -> Result<Option<String>, QueryError> {
    let words = search::query_words(text);
    let Some(last) = words.len().checked_sub(1) else { return Ok(None) };
    let known = near_words(pool, &words).await?;
    let terms: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            let beginning = if index == last { ":*" } else { "" };
            let mut alternatives = vec![format!("'{word}'{beginning}")];
            alternatives
                .extend(search::corrections(word, &known).iter().map(|near| format!("'{near}'")));
            format!("({})", alternatives.join(" | "))
        })
        .collect();
    Ok(Some(terms.join(" & ")))
}

/// Words of published products that may be near one of these.
async fn near_words(pool: &PgPool, words: &[String]) -> Result<Vec<String>, QueryError> {
    let correctable: Vec<&String> =
        words.iter().filter(|word| search::edits_allowed(word) > 0).collect();
    if correctable.is_empty() {
        return Ok(Vec::new());
    }
    let deletions: Vec<String> =
        correctable.iter().flat_map(|word| search::deletions(word)).collect();
    Ok(sqlx::query_scalar("select word from catalogue_words where deletions && $1")
        .bind(deletions)
        .fetch_all(pool)
        .await?)
}
