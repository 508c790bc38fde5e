use super::view::{OrderView, PaymentView};
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::order::OrderStatus;
use domain::{OrderId, PaymentId, Position, UserId};
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// The most payments that are listed for one order; an order allows one at a time, so only
/// somebody who has very many cards declined comes near.
const MAX_PAYMENTS: i64 = 100;

/// Which orders a list holds; everything absent means "all".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Of one customer.
    pub customer_id: Option<UserId>,
    /// In this status.
    pub status: Option<OrderStatus>,
}

/// Which payments a list holds; everything absent means "all".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Of one order.
    pub order_id: Option<OrderId>,
    /// With money that has to go back, or without.
    pub orphaned: Option<bool>,
}

/// One order.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_id(pool: &PgPool, order_id: OrderId) -> Result<Option<OrderView>, QueryError> {
    let mut query = select();
    query.push(" where o.order_id = ").push_bind(order_id.uuid()).push(") r");
    Ok(fetch(pool, query).await?.pop())
}

/// A customer's orders, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn by_customer(
    pool: &PgPool,
    customer_id: UserId,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<OrderView>, QueryError> {
    let filter = OrderFilter { customer_id: Some(customer_id), status: None };
    list(pool, filter, cursor, limit).await
}

/// Orders for staff, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: OrderFilter,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<OrderView>, QueryError> {
    let before: Position = parse_cursor(cursor)?.unwrap_or(Position::LAST);
    let mut query = select();
    query.push(" where o.placed_position < ").push_bind(before.bigint());
    if let Some(customer_id) = filter.customer_id {
        query.push(" and o.customer_id = ").push_bind(customer_id.uuid());
    }
    if let Some(status) = filter.status {
        query.push(" and o.status = ").push_bind(status.as_str());
    }
    query.push(" order by o.placed_position desc limit ").push_bind(limit.look_ahead());
    query.push(") r");
    let orders = fetch(pool, query).await?;
    Ok(Page::cut(orders, limit, |order| order.placed_position))
}

/// One payment.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn payment_by_id(
    pool: &PgPool,
    payment_id: PaymentId,
) -> Result<Option<PaymentView>, QueryError> {
    Ok(payments(pool, "payment_id = $1", payment_id.uuid()).await?.pop())
}

/// The payments of an order, the last one first.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn payments_of(pool: &PgPool, order_id: OrderId) -> Result<Vec<PaymentView>, QueryError> {
    payments(pool, "order_id = $1", order_id.uuid()).await
}

/// Payments for staff, those that were asked for last first.
///
/// # Errors
/// [`QueryError`].
pub async fn list_payments(
    pool: &PgPool,
    filter: PaymentFilter,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<PaymentView>, QueryError> {
    let before: Position = parse_cursor(cursor)?.unwrap_or(Position::LAST);
    let columns = PaymentView::COLUMNS;
    let mut query = QueryBuilder::new(format!(
        "select row_to_json(r) from (select {columns} from payments where requested_position < "
    ));
    query.push_bind(before.bigint());
    if let Some(order_id) = filter.order_id {
        query.push(" and order_id = ").push_bind(order_id.uuid());
    }
    // Spelt out, because an index is made for the one of them.
    match filter.orphaned {
        Some(true) => _ = query.push(" and orphaned"),
        Some(false) => _ = query.push(" and not orphaned"),
        None => {}
    }
    query.push(" order by requested_position desc limit ").push_bind(limit.look_ahead());
    query.push(") r");
    let found: Vec<Json<PaymentView>> = query.build_query_scalar().fetch_all(pool).await?;
    let payments = found.into_iter().map(|Json(payment)| payment).collect();
    Ok(Page::cut(payments, limit, |payment: &PaymentView| payment.requested_position))
}

async fn payments(
    pool: &PgPool,
    condition: &str,
    id: Uuid,
) -> Result<Vec<PaymentView>, QueryError> {
    let columns = PaymentView::COLUMNS;
    let select = format!(
        "select row_to_json(r) from (select {columns} from payments where {condition} \
         order by requested_position desc limit {MAX_PAYMENTS}) r"
    );
    let found: Vec<Json<PaymentView>> =
        sqlx::query_scalar(&select).bind(id).fetch_all(pool).await?;
    Ok(found.into_iter().map(|Json(payment)| payment).collect())
}

/// Order and last payment in one statement, so that both are of one snapshot.
fn select() -> QueryBuilder<'static, Postgres> {
    QueryBuilder::new(
        "select row_to_json(r) from (\
         select o.order_id, o.number, o.customer_id, o.cart_id, o.status, o.lines, o.totals, \
                o.contact, o.pay_by, o.placed_at, o.placed_position, o.version, \
                case when p.pays_nothing then 'failed' else p.status end as payment_status, \
                greatest(o.position, p.position) as position \
         from orders o left join lateral (\
           select status, pays_nothing, position from payments \
           where payments.order_id = o.order_id order by requested_position desc limit 1) p on true",
    )
}

async fn fetch(
    pool: &PgPool,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<Vec<OrderView>, QueryError> {
    let found: Vec<Json<OrderView>> = query.build_query_scalar().fetch_all(pool).await?;
    Ok(found.into_iter().map(|Json(order)| order).collect())
}
