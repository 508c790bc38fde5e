use super::matching;
use super::order::{Cursor, Order};
use super::prices;
use super::query::{Listed, finish, select};
use super::view::ProductView;
use crate::page::{Limit, Page, QueryError, parse_cursor};
use domain::Currency;
use domain::product::ProductStatus;
use sqlx::{PgPool, Postgres, QueryBuilder};

/// Which products a list holds; everything absent means "all".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductFilter {
    /// In this status; what customers see is [`ProductStatus::Published`].
    pub status: Option<ProductStatus>,
    /// In the category of this slug or name, case ignored. One that does not exist has no products.
    pub category: Option<String>,
    /// Full-text, every word of it (the last one as a beginning) of names, SKUs, categories and descriptions, blind
    /// to case, accents, width and composition, tolerant of typing errors.
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
    /// By name, as languages sort (the root of CLDR), numbers in it by value.
    Name,
    /// The cheapest first, by what its cheapest variant on sale costs in this currency. What has no price in it
    /// comes last.
    Price(Currency),
    /// The dearest first, by the same price. What has no price in the currency comes last here, too.
    PriceDescending(Currency),
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
    let expression = match text {
        Some(text) => {
            let Some(expression) = matching::expression(pool, text).await? else {
                // Nothing but punctuation: there is no product that it could mean.
                return Ok(Page { items: Vec::new(), next_cursor: None });
            };
            Some(expression)
        }
        None => None,
    };
    let order = Order::of(sort, expression.is_some());
    let mut after: Option<Cursor> = parse_cursor(cursor)?;
    let mut part = Some(order);
    if let Some(after) = &after {
        while part.is_some_and(|part| !part.gave_out(after)) {
            part = part.and_then(|part| part.next(filter));
        }
        if part.is_none() {
            return Err(QueryError::InvalidCursor);
        }
    }

    let (wanted, mut rows) = (limit.look_ahead(), Vec::new());
    while let Some(of) = part {
        let missing = wanted.saturating_sub_unsigned(rows.len() as u64);
        rows.extend(read(pool, filter, expression.as_deref(), of, after.take(), missing).await?);
        part = of.next(filter).filter(|_| rows.len() <= usize::from(limit.get()));
    }
    Ok(Page::cut(rows, limit, |last| order.cursor(last)).map(|row| row.product))
}

/// The first `most` products of one part of an order, behind the cursor where it is of this part.
async fn read(
    pool: &PgPool,
    filter: &ProductFilter,
    expression: Option<&str>,
    part: Order,
    after: Option<Cursor>,
    most: i64,
) -> Result<Vec<Listed>, QueryError> {
    let without = match part.priceless_in() {
        Some(currency) => prices::without(pool, currency).await?,
        None => Vec::new(),
    };
    if part.priceless_in().is_some() && without.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = select(expression, part.priced_in().is_some());
    query.push(" where true");
    part.push_condition(&mut query, filter, without);
    push_filter(&mut query, filter, expression.is_some());
    if let Some(after) = after {
        part.push_after(&mut query, after);
    }
    query.push(part.order_by()).push(" limit ").push_bind(most);
    finish(pool, query, part.order_of_page()).await
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
