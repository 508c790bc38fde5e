//! The member's orders.

use super::schema;
use crate::application::App;
use crate::guard::Member;
use crate::http::{AtLeast, Etag, Id, IfNoneMatch, Json, Limit, List, Params, Path, Problem};
use axum::extract::State;
use axum::response::Response;
use commands::bus::Loaded;
use domain::order::{Order, OrderLine, OrderStatus, Totals};
use domain::payment::PaymentStatus;
use domain::{Address, EmailAddress, OrderContact, Sealed, Timestamp};
use projections::orders::OrderView;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// An order as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderBody {
    id: Uuid,
    /// A small positive number for people.
    number: i32,
    /// `awaiting_payment`, `paid` or `cancelled`.
    #[schema(value_type = String)]
    status: OrderStatus,
    #[schema(value_type = Vec<schema::OrderLine>)]
    lines: Vec<OrderLine>,
    #[schema(value_type = schema::Totals)]
    totals: Totals,
    /// Null after the customer was erased.
    #[schema(value_type = Option<String>)]
    email: Option<EmailAddress>,
    /// Null after the customer was erased.
    #[schema(value_type = Option<schema::Address>)]
    shipping_address: Option<Address>,
    /// The last payment's status, or `none`.
    payment_status: &'static str,
    /// Until when it can be paid.
    #[schema(value_type = schema::Timestamp)]
    pay_by: Timestamp,
    #[schema(value_type = schema::Timestamp)]
    placed_at: Timestamp,
    version: u64,
}

/// A page of orders.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrderListParams {
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The last page's `next_cursor`.
    cursor: Option<String>,
}

/// The member's orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", params(OrderListParams),
    responses((status = 200, body = List<OrderBody>)))]
async fn list(
    State(app): State<Arc<App>>,
    member: Member,
    Params(params): Params<OrderListParams>,
    at_least: AtLeast,
) -> Result<Json<List<OrderBody>>, Problem> {
    app.caught_up("orders", at_least).await?;
    let limit = super::page_limit(params.limit);
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
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = OrderBody), (status = 304), (status = 404, body = schema::Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    member: Member,
    Path(Id(order_id)): Path<Id>,
    Params(super::NoParams {}): Params<super::NoParams>,
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

async fn from_view(app: &App, view: OrderView) -> Result<OrderBody, Problem> {
    let (email, shipping_address) = open(app, view.customer_id, &view.contact).await?;
    Ok(OrderBody {
        id: view.order_id,
        number: view.number,
        status: view.status,
        lines: view.lines,
        totals: view.totals,
        email,
        shipping_address,
        payment_status: view.payment_status.map_or("none", PaymentStatus::as_str),
        pay_by: view.pay_by,
        placed_at: view.placed_at,
        version: view.version,
    })
}

/// The order as a command left it, for an answer that waits for no read model.
pub(super) async fn from_aggregate(
    app: &App,
    order_id: Uuid,
    order: &Loaded<Order>,
    placed_at: Timestamp,
    payment_status: Option<PaymentStatus>,
) -> Result<OrderBody, Problem> {
    let state = &order.state;
    let complete = (state.number, state.customer_id, state.totals, &state.contact, state.pay_by);
    let (Some(number), Some(customer_id), Some(totals), Some(contact), Some(pay_by)) = complete
    else {
        return Err(Problem::not_found());
    };
    let (email, shipping_address) = open(app, customer_id, contact).await?;
    Ok(OrderBody {
        id: order_id,
        number,
        status: state.status,
        lines: state.lines.clone(),
        totals,
        email,
        shipping_address,
        payment_status: payment_status.map_or("none", PaymentStatus::as_str),
        pay_by,
        placed_at,
        version: order.sequence,
    })
}

async fn open(
    app: &App,
    customer_id: Uuid,
    contact: &Sealed<OrderContact>,
) -> Result<(Option<EmailAddress>, Option<Address>), Problem> {
    let contact = app.vault.open(customer_id, contact).await?;
    Ok(contact.map(|contact| (contact.email, contact.shipping_address)).unzip())
}
