use super::body::{ProductListParams, ProductRequest};
use crate::application::App;
use crate::application::products::{self, Changed};
use crate::http::{
    AtLeast, Body, Command, Etag, Id, IfMatch, IfNoneMatch, Json, KeyedCommand, List, Params, Path,
    Position, Problem, Replayed,
};
use crate::routes::NoParams;
use crate::routes::catalogue::{self, ProductBody};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::ProductId;
use domain::product::{MAX_CATEGORIES, MAX_VARIANTS};
use std::sync::Arc;

/// Products in every status.
#[utoipa::path(get, path = "/api/v1/admin/products", tag = "staff", responses((status = 200, body = List<ProductBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<ProductListParams>,
    at_least: AtLeast,
) -> Result<Json<List<ProductBody>>, Problem> {
    let filter = catalogue::filter(params.status, params.category, params.q, params.currency);
    let cursor = params.cursor.as_deref();
    catalogue::page(&app, at_least, &filter, params.sort, cursor, params.limit).await
}

/// One product, in whatever status.
#[utoipa::path(get, path = "/api/v1/admin/products/{id}", tag = "staff", responses((status = 200, body = ProductBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id<ProductId>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.all_caught_up(projections::catalogue::READS, at_least).await?;
    let found = projections::catalogue::by_id(&app.pool, product_id).await?;
    let product = found.ok_or_else(Problem::not_found)?;
    let etag = Etag::new(product.version, product.position);
    Ok(if_none_match.answer(etag, Json(ProductBody::from(product))))
}

/// Writes a draft and takes its SKUs; 409 `sku_taken` when one of them is another product's.
#[utoipa::path(post, path = "/api/v1/admin/products", tag = "staff", responses((status = 201, body = ProductBody, headers(("ETag"), ("Location")))))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    command: KeyedCommand,
    body: Body<ProductRequest>,
) -> Result<Response, Problem> {
    let draft = checked(body.value)?.into();
    let changed = products::create(&app, &command.call(body.fingerprint), draft).await?;
    let location = [(LOCATION, format!("/api/v1/admin/products/{}", changed.product_id))];
    Ok((StatusCode::CREATED, location, answer(&changed)?).into_response())
}

/// Makes the product exactly this. A SKU that stays keeps its number; one that is left out is no
/// longer sold.
#[utoipa::path(put, path = "/api/v1/admin/products/{id}", tag = "staff", responses((status = 200, body = ProductBody)))]
pub(super) async fn revise(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id<ProductId>>,
    if_match: IfMatch,
    command: Command,
    body: Body<ProductRequest>,
) -> Result<Response, Problem> {
    let (draft, version) = (checked(body.value)?.into(), if_match.version()?);
    let call = command.call(body.fingerprint);
    answer(&products::revise(&app, &call, product_id, draft, version).await?)
}

/// Puts the product on sale.
#[utoipa::path(post, path = "/api/v1/admin/products/{id}/publish", tag = "staff", responses((status = 200, body = ProductBody, headers(("ETag")))))]
pub(super) async fn publish(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id<ProductId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    answer(&products::publish(&app, &command.call(body.fingerprint), product_id).await?)
}

/// Takes the product off sale; orders keep showing it.
#[utoipa::path(post, path = "/api/v1/admin/products/{id}/retire", tag = "staff", responses((status = 200, body = ProductBody, headers(("ETag")))))]
pub(super) async fn retire(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id<ProductId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    answer(&products::retire(&app, &command.call(body.fingerprint), product_id).await?)
}

/// The bounds that a list's type does not hold.
fn checked(request: ProductRequest) -> Result<ProductRequest, Problem> {
    if !(1..=MAX_VARIANTS).contains(&request.variants.len()) {
        let expected = format!("expected 1 to {MAX_VARIANTS} variants");
        return Err(Problem::invalid_field("/variants", expected));
    }
    if request.categories.len() > MAX_CATEGORIES {
        let expected = format!("expected at most {MAX_CATEGORIES} categories");
        return Err(Problem::invalid_field("/categories", expected));
    }
    Ok(request)
}

/// The product right after the command.
fn answer(changed: &Changed) -> Result<Response, Problem> {
    let Changed { product_id, executed, available } = changed;
    let version = executed.version(0);
    let product = ProductBody::from_aggregate(*product_id, executed.state(0), version, |sku| {
        available.get(sku).copied().unwrap_or(0)
    })?;
    let parts = (
        Position(executed.position),
        Etag::new(version, executed.position),
        Replayed(executed.replayed),
    );
    Ok((parts, Json(product)).into_response())
}
