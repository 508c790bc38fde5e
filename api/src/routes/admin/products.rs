//! Writing the catalogue: drafts, revisions, what is on sale and what no longer is.

use super::super::catalogue::{self, ProductBody, SearchText, Sort, given};
use super::super::{NoParams, schema};
use crate::application::App;
use crate::application::products::{self, Changed, Draft, VariantDraft};
use crate::http::{
    AtLeast, Body, Command, Etag, Id, IfMatch, IfNoneMatch, Json, KeyedCommand, Limit, List,
    Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::product::{MAX_CATEGORIES, MAX_VARIANTS, ProductStatus};
use domain::{Currency, Description, Money, Name, Sku, Slug, Text};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, revise))
        .routes(routes!(publish))
        .routes(routes!(retire))
}

/// A product as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductRequest {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    name: Name,
    /// Prose; may be empty.
    #[schema(value_type = String, max_length = 10_000)]
    description: Description,
    /// A path on this host or an absolute URL.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    picture: Option<Text>,
    /// Slugs, each once.
    #[schema(value_type = Vec<schema::Token>, max_items = 20)]
    categories: Vec<Slug>,
    #[schema(min_items = 1, max_items = 100)]
    variants: Vec<VariantRequest>,
}

/// A variant as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantRequest {
    /// Belongs to the first product that takes it, for ever.
    #[schema(value_type = schema::Token)]
    sku: Sku,
    /// What tells it from its siblings, if there are any.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    name: Option<Name>,
    /// For one piece.
    #[schema(value_type = schema::Money)]
    price: Money,
}

/// Which products, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProductListParams {
    /// Only those in this status.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<StatusParam>, inline)]
    status: Option<ProductStatus>,
    /// A category's slug, case ignored. One that does not exist has no products.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<schema::Token>)]
    category: Option<Slug>,
    /// Full-text, tolerant of typing errors.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<SearchText>,
    /// Without it the best match comes first, or the lowest number when nothing is searched for.
    #[serde(default, deserialize_with = "given")]
    #[param(inline)]
    sort: Option<Sort>,
    /// Only what is priced in this currency.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<schema::Currency>)]
    currency: Option<Currency>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The last page's `next_cursor`.
    cursor: Option<String>,
}

/// How OpenAPI is told about [`ProductStatus`].
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProductStatus)]
#[expect(dead_code, reason = "only its schema is used")]
enum StatusParam {
    Draft,
    Published,
    Retired,
}

/// Products in every status.
#[utoipa::path(get, path = "/api/v1/admin/products", tag = "staff", params(ProductListParams),
    responses((status = 200, body = List<ProductBody>), (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<ProductListParams>,
    at_least: AtLeast,
) -> Result<Json<List<ProductBody>>, Problem> {
    let filter = catalogue::filter(params.status, params.category, params.q, params.currency);
    let cursor = params.cursor.as_deref();
    catalogue::page(&app, at_least, &filter, params.sort, cursor, params.limit).await
}

/// One product, in whatever status.
#[utoipa::path(get, path = "/api/v1/admin/products/{id}", tag = "staff", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProductBody), (status = 304), (status = 404, body = schema::Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id>,
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
#[utoipa::path(post, path = "/api/v1/admin/products", tag = "staff", request_body = ProductRequest,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = ProductBody), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn create(
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
#[utoipa::path(put, path = "/api/v1/admin/products/{id}", tag = "staff", request_body = ProductRequest,
    params(("id" = Uuid, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = ProductBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem),
        (status = 412, body = schema::Problem), (status = 422, body = schema::Problem), (status = 428, body = schema::Problem)))]
async fn revise(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id>,
    if_match: IfMatch,
    command: Command,
    body: Body<ProductRequest>,
) -> Result<Response, Problem> {
    let (draft, version) = (checked(body.value)?.into(), if_match.version()?);
    let call = command.call(body.fingerprint);
    answer(&products::revise(&app, &call, product_id, draft, version).await?)
}

/// Puts the product on sale.
#[utoipa::path(post, path = "/api/v1/admin/products/{id}/publish", tag = "staff", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProductBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn publish(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    answer(&products::publish(&app, &command.call(body.fingerprint), product_id).await?)
}

/// Takes the product off sale; orders keep showing it.
#[utoipa::path(post, path = "/api/v1/admin/products/{id}/retire", tag = "staff", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProductBody), (status = 404, body = schema::Problem)))]
async fn retire(
    State(app): State<Arc<App>>,
    Path(Id(product_id)): Path<Id>,
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

impl From<ProductRequest> for Draft {
    fn from(request: ProductRequest) -> Self {
        let variants = request.variants.into_iter();
        Self {
            name: request.name,
            description: request.description,
            picture: request.picture,
            categories: request.categories,
            variants: variants
                .map(|VariantRequest { sku, name, price }| VariantDraft { sku, name, price })
                .collect(),
        }
    }
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
