use super::query::{Listed, finish, select};
use super::search;
use super::view::ProductView;
use crate::page::{Limit, Page, QueryError, parse_cursor};
use domain::product::ProductStatus;
use domain::{Currency, Position, ProductId};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};

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
    query.push(order.order_by()).push(" limit ").push_bind(limit.look_ahead());
    let rows = finish(pool, query, order.order_by()).await?;
    Ok(Page::cut(rows, limit, |last| order.cursor(last)).map(|row| row.product))
}

/// Where a page ended. The kind of key tells for which order it was given out.
#[derive(Serialize, Deserialize)]
struct Cursor {
    key: Key,
    number: i32,
    product_id: ProductId,
}

#[derive(Serialize, Deserialize)]
enum Key {
    Rank(f32),
    Number,
    Name(String),
    Price(i64),
    Dear(i64),
    Age(Position),
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
                query.push_bind(tie.0).push(", ").push_bind(tie.1.uuid()).push(")");
            }
            Key::Name(name) => push_ascending(query, "p.sort_name", name.clone(), tie),
            Key::Price(price) => push_ascending(query, "p.sort_price", *price, tie),
            Key::Dear(price) => push_descending(query, "p.sort_price", *price, tie),
            Key::Age(position) => {
                push_descending(query, "p.created_position", position.bigint(), tie)
            }
        }
    }
}

fn push_ascending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    column: &str,
    value: T,
    (number, product_id): (i32, ProductId),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'q,
{
    query.push(format!(" and ({column}, p.number, p.product_id) > (")).push_bind(value);
    query.push(", ").push_bind(number).push(", ").push_bind(product_id.uuid()).push(")");
}

/// The key falls while the number breaks ties upwards, so one row comparison cannot say it.
fn push_descending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    column: &str,
    value: T,
    (number, product_id): (i32, ProductId),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Copy + Send + 'q,
{
    query.push(format!(" and ({column} < ")).push_bind(value);
    query.push(format!(" or ({column} = ")).push_bind(value);
    query.push(" and (p.number, p.product_id) > (").push_bind(number);
    query.push(", ").push_bind(product_id.uuid()).push(")))");
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
