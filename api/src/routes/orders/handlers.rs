use super::body::{OrderBody, OrderListParams, from_view};
use crate::application::App;
use crate::guard::Member;
use crate::http::{AtLeast, Etag, Id, IfNoneMatch, Json, List, Params, Path, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::OrderId;
use std::sync::Arc;

/// The member's orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", responses((status = 200, body = List<OrderBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    member: Member,
    Params(params): Params<OrderListParams>,
    at_least: AtLeast,
) -> Result<Json<List<OrderBody>>, Problem> {
    app.caught_up("orders", at_least).await?;
    let limit = crate::routes::page_limit(params.limit);
    let page = projections::orders::by_customer(
        &app.pool,
        member.user_id,
        params.cursor.as_deref(),
        limit,
    )
    .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for view in page.items {
        items.push(from_view(&app, view).await?);
    }
    Ok(Json(List { items, next_cursor: page.next_cursor }))
}

/// One order.
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders", responses((status = 200, body = OrderBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    member: Member,
    Path(Id(order_id)): Path<Id<OrderId>>,
    Params(crate::routes::NoParams {}): Params<crate::routes::NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up("orders", at_least).await?;
    let view = projections::orders::by_id(&app.pool, order_id).await?;
    // Somebody else's order looks absent: its existence is nobody's business.
    let view =
        view.filter(|view| view.customer_id == member.user_id).ok_or_else(Problem::not_found)?;
    let etag = Etag::new(view.version, view.position);
    let body = from_view(&app, view).await?;
    Ok(if_none_match.answer(etag, Json(body)))
}
