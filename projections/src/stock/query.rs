use super::view::StockView;
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::Sku;
use sqlx::PgPool;
use sqlx::types::Json;

/// The stock of one SKU.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_sku(pool: &PgPool, sku: &Sku) -> Result<Option<StockView>, QueryError> {
    let columns = StockView::COLUMNS;
    let select =
        format!("select row_to_json(r) from (select {columns} from stock where sku = $1) r");
    let found: Option<Json<StockView>> =
        sqlx::query_scalar(&select).bind(sku.as_str()).fetch_optional(pool).await?;
    Ok(found.map(|Json(stock)| stock))
}

/// The stock of all SKUs, by SKU.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<StockView>, QueryError> {
    let after: String = parse_cursor(cursor)?.unwrap_or_default();
    let columns = StockView::COLUMNS;
    let select = format!(
        "select row_to_json(r) from (select {columns} from stock where sku > $1 \
         order by sku limit $2) r"
    );
    let found: Vec<Json<StockView>> =
        sqlx::query_scalar(&select).bind(after).bind(limit.look_ahead()).fetch_all(pool).await?;
    let rows = found.into_iter().map(|Json(stock)| stock).collect();
    Ok(Page::cut(rows, limit, |stock: &StockView| stock.sku.clone()))
}
