//! Booking stock: what arrived, and what turned out to be otherwise.

use super::super::schema;
use super::PageParams;
use crate::application::{App, Call, products};
use crate::http::{
    AtLeast, Body, Etag, Json, KeyedCommand, List, Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::stock::{MAX_ON_HAND, MAX_RECEIVED, StockCommand, StockItem};
use domain::{Reason, Sku};
use projections::stock::{self, StockView};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(receive)).routes(routes!(adjust))
}

/// The stock of one SKU.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockBody {
    #[schema(value_type = schema::Token)]
    sku: Sku,
    /// The product that the SKU belongs to.
    product_id: Uuid,
    /// Pieces in the house.
    on_hand: u64,
    /// Pieces of these that are set aside for orders.
    reserved: u64,
    /// Pieces that can be sold now.
    available: u64,
    version: u64,
}

/// What arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockReceipt {
    /// Pieces.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    quantity: u32,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: Reason,
}

/// What is to be corrected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockAdjustment {
    /// Pieces to add; negative ones are taken away, as far as they are not set aside for orders.
    quantity: i64,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: Reason,
}

/// The stock of all SKUs, by SKU.
#[utoipa::path(get, path = "/api/v1/admin/stock", tag = "staff", params(PageParams),
    responses((status = 200, body = List<StockBody>), (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<StockBody>>, Problem> {
    app.caught_up(stock::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = stock::list(&app.pool, cursor, params.limit.into()).await?;
    Ok(Json(List::from(page).map(StockBody::from)))
}

/// Books pieces that arrived.
#[utoipa::path(post, path = "/api/v1/admin/stock/{sku}/receive", tag = "staff", request_body = StockReceipt,
    params(("sku" = schema::Token, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = StockBody), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn receive(
    State(app): State<Arc<App>>,
    Path(sku): Path<Sku>,
    command: KeyedCommand,
    body: Body<StockReceipt>,
) -> Result<Response, Problem> {
    let StockReceipt { quantity, reason } = body.value;
    if !(1..=MAX_RECEIVED).contains(&quantity) {
        let expected = format!("expected 1 to {MAX_RECEIVED} pieces");
        return Err(Problem::invalid_field("/quantity", expected));
    }
    let receive = StockCommand::Receive { quantity, reason };
    book(&app, sku, &command.call(body.fingerprint), receive).await
}

/// Corrects what is on hand; 409 `insufficient_stock` when orders wait for what would be missing.
#[utoipa::path(post, path = "/api/v1/admin/stock/{sku}/adjust", tag = "staff", request_body = StockAdjustment,
    params(("sku" = schema::Token, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = StockBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem),
        (status = 422, body = schema::Problem)))]
async fn adjust(
    State(app): State<Arc<App>>,
    Path(sku): Path<Sku>,
    command: KeyedCommand,
    body: Body<StockAdjustment>,
) -> Result<Response, Problem> {
    let StockAdjustment { quantity, reason } = body.value;
    if quantity == 0 || quantity.unsigned_abs() > MAX_ON_HAND {
        let expected = format!("expected 1 to {MAX_ON_HAND} pieces more or fewer");
        return Err(Problem::invalid_field("/quantity", expected));
    }
    let adjust = StockCommand::Adjust { delta: quantity, reason };
    book(&app, sku, &command.call(body.fingerprint), adjust).await
}

async fn book(
    app: &App,
    sku: Sku,
    call: &Call,
    booking: StockCommand,
) -> Result<Response, Problem> {
    let executed = products::book(app, call, &sku, booking).await?;
    let stock: &StockItem = executed.state(0);
    let body = StockBody {
        product_id: stock.product_id.ok_or_else(Problem::not_found)?,
        sku,
        on_hand: stock.on_hand,
        reserved: stock.reserved,
        available: stock.available(),
        version: executed.version(0),
    };
    let etag = Etag::new(body.version, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(body)).into_response())
}

impl From<StockView> for StockBody {
    fn from(view: StockView) -> Self {
        Self {
            available: view.available(),
            sku: view.sku,
            product_id: view.product_id,
            on_hand: view.on_hand,
            reserved: view.reserved,
            version: view.version,
        }
    }
}
