use super::body::{LedgerEntry, StockAdjustment, StockBody, StockReceipt};
use crate::application::{App, Call, ledger, products};
use crate::http::{
    AtLeast, Body, Etag, Json, KeyedCommand, List, Params, Path, Position, Problem, Replayed,
};
use crate::routes::PageParams;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Sku;
use domain::stock::{MAX_ON_HAND, MAX_RECEIVED, StockCommand, StockItem};
use projections::stock::{self, StockView};
use std::sync::Arc;

/// The stock of all SKUs, by SKU.
#[utoipa::path(get, path = "/api/v1/admin/stock", tag = "staff", responses((status = 200, body = List<StockBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<StockBody>>, Problem> {
    app.caught_up(stock::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = stock::list(&app.pool, cursor, params.limit.into()).await?;
    Ok(Json(List::from(page).map(StockBody::from)))
}

/// All that was booked of a SKU, the oldest first.
#[utoipa::path(get, path = "/api/v1/admin/stock/{sku}/ledger", tag = "staff", responses((status = 200, body = List<LedgerEntry>)))]
pub(super) async fn ledger(
    State(app): State<Arc<App>>,
    Path(sku): Path<Sku>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<LedgerEntry>>, Problem> {
    app.journal_reached(at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = ledger::page(&app, &sku, cursor, params.limit.into()).await?;
    Ok(Json(List::from(page).map(LedgerEntry::from)))
}

/// Books pieces that arrived.
#[utoipa::path(post, path = "/api/v1/admin/stock/{sku}/receive", tag = "staff", responses((status = 200, body = StockBody, headers(("ETag")))))]
pub(super) async fn receive(
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
#[utoipa::path(post, path = "/api/v1/admin/stock/{sku}/adjust", tag = "staff", responses((status = 200, body = StockBody, headers(("ETag")))))]
pub(super) async fn adjust(
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
    let (sku, executed) = products::book(app, call, sku, booking).await?;
    let item: &StockItem = executed.state(0);
    let view = StockView::of(sku, item, executed.version(0), executed.position);
    let body = StockBody::from(view.ok_or_else(Problem::not_found)?);
    let etag = Etag::new(body.version, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(body)).into_response())
}
