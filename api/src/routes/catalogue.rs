//! The catalogue as everybody sees it.

use super::{NoParams, schema};
use crate::application::App;
use crate::http::{AtLeast, Etag, Id, IfNoneMatch, Json, Limit, List, Params, Path, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::product::{Product, ProductStatus};
use domain::{Currency, Money, Name, Sku, Slug, Text};
use projections::catalogue::{
    self, CategoryView, ProductFilter, ProductSort, ProductView, VariantView,
};
use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The longest text that is searched for; nobody types more.
const MAX_SEARCH_CHARS: usize = 200;

/// The most suggestions that one answer holds: what fits below a search box.
const MAX_SUGGESTIONS: usize = 10;

/// The matches that suggestions are taken from: several products may share a name.
const SUGGESTING_PRODUCTS: u16 = 50;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(categories))
        .routes(routes!(suggest))
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductBody {
    id: Uuid,
    /// Its first variant's number.
    number: i32,
    #[schema(value_type = String)]
    name: Name,
    /// Prose; may be empty.
    description: String,
    /// A path on this host or an absolute URL.
    #[schema(value_type = Option<String>)]
    picture: Option<Text>,
    /// Slugs.
    #[schema(value_type = Vec<schema::Token>)]
    categories: Vec<Slug>,
    /// `draft` (seen by staff only), `published` or `retired`.
    #[schema(value_type = String)]
    status: ProductStatus,
    /// At least one.
    variants: Vec<VariantBody>,
    version: u64,
}

/// One thing that can be put into a cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantBody {
    #[schema(value_type = schema::Token)]
    sku: Sku,
    /// A small positive number for people and old clients.
    number: i32,
    /// What tells it from its siblings, if there are any.
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// For one piece; null only while the product is a draft.
    #[schema(value_type = Option<schema::Money>)]
    price: Option<Money>,
    /// Pieces that can be sold now.
    available: u64,
}

/// A category.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryBody {
    #[schema(value_type = schema::Token)]
    slug: Slug,
    name: String,
    /// Published products.
    product_count: u64,
}

/// All of a short list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    items: Vec<T>,
}

/// Which products, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProductListParams {
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
    // Schemas that only parameters name are not collected into the document.
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

/// The orders that a list of products can have.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// By name.
    Name,
    /// The cheapest first.
    Price,
    /// The dearest first.
    #[serde(rename = "-price")]
    PriceDescending,
    /// The last one created first.
    Newest,
}

/// What somebody looks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SuggestParams {
    /// The beginning of it; an empty one suggests nothing.
    #[param(value_type = String, max_length = 200)]
    q: SearchText,
}

/// A text to search for: at most [`MAX_SEARCH_CHARS`] characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct SearchText(String);

impl TryFrom<String> for SearchText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() <= MAX_SEARCH_CHARS {
            Ok(Self(text))
        } else {
            Err(format!("expected at most {MAX_SEARCH_CHARS} characters"))
        }
    }
}

/// The products on sale.
#[utoipa::path(get, path = "/api/v1/products", tag = "catalogue", params(ProductListParams),
    responses((status = 200, body = List<ProductBody>), (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<ProductListParams>,
    at_least: AtLeast,
) -> Result<Json<List<ProductBody>>, Problem> {
    let filter = filter(Some(ProductStatus::Published), params.category, params.q, params.currency);
    page(&app, at_least, &filter, params.sort, params.cursor.as_deref(), params.limit).await
}

/// One product by id or number. One that was retired is still shown, because orders name it; a
/// draft is nobody's business yet.
#[utoipa::path(get, path = "/api/v1/products/{id}", tag = "catalogue",
    params(("id" = String, Path, description = "The product's id, or a variant's number")),
    responses((status = 200, body = ProductBody), (status = 304), (status = 404, body = schema::Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    Path(reference): Path<String>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    let found = match (Id::parse(&reference), number(&reference)) {
        (Some(Id(product_id)), _) => catalogue::by_id(&app.pool, product_id).await?,
        (None, Some(number)) => catalogue::by_number(&app.pool, number).await?,
        (None, None) => None,
    };
    let product = found
        .filter(|product| product.status != ProductStatus::Draft)
        .ok_or_else(Problem::not_found)?;
    let etag = Etag::new(product.version, product.position);
    Ok(if_none_match.answer(etag, Json(ProductBody::from(product))))
}

/// The categories that have products on sale.
#[utoipa::path(get, path = "/api/v1/categories", tag = "catalogue",
    responses((status = 200, body = Items<CategoryBody>)))]
async fn categories(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<Items<CategoryBody>>, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    let items = catalogue::categories(&app.pool).await?;
    Ok(Json(Items { items: items.into_iter().map(CategoryBody::from).collect() }))
}

/// Names of products on sale that somebody may be about to type.
#[utoipa::path(get, path = "/api/v1/search/suggest", tag = "catalogue", params(SuggestParams),
    responses((status = 200, body = Items<String>), (status = 422, body = schema::Problem)))]
async fn suggest(
    State(app): State<Arc<App>>,
    Params(SuggestParams { q }): Params<SuggestParams>,
    at_least: AtLeast,
) -> Result<Json<Items<String>>, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    if q.0.trim().is_empty() {
        return Ok(Json(Items { items: vec![] }));
    }
    let filter = filter(Some(ProductStatus::Published), None, Some(q), None);
    let limit = projections::Limit::new(SUGGESTING_PRODUCTS).unwrap_or(projections::Limit::MAX);
    let sort = ProductSort::Relevance;
    let page = catalogue::list(&app.pool, &filter, sort, None, limit).await?;
    let mut seen = BTreeSet::new();
    let names = page.items.iter().map(|product| product.name.as_str().to_owned());
    let items = names.filter(|name| seen.insert(name.clone())).take(MAX_SUGGESTIONS).collect();
    Ok(Json(Items { items }))
}

/// What a list of products is narrowed down to.
pub(super) fn filter(
    status: Option<ProductStatus>,
    category: Option<Slug>,
    q: Option<SearchText>,
    currency: Option<Currency>,
) -> ProductFilter {
    ProductFilter {
        status,
        category: category.map(|category| category.to_string()),
        text: q.map(|SearchText(text)| text),
        currency,
    }
}

/// One page of products.
pub(super) async fn page(
    app: &App,
    at_least: AtLeast,
    filter: &ProductFilter,
    sort: Option<Sort>,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Json<List<ProductBody>>, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    let sort = match sort {
        None => ProductSort::Relevance,
        Some(Sort::Name) => ProductSort::Name,
        Some(Sort::Price) => ProductSort::Price,
        Some(Sort::PriceDescending) => ProductSort::PriceDescending,
        Some(Sort::Newest) => ProductSort::Newest,
    };
    let page = catalogue::list(&app.pool, filter, sort, cursor, limit.into()).await?;
    Ok(Json(List::from(page).map(ProductBody::from)))
}

impl From<ProductView> for ProductBody {
    fn from(view: ProductView) -> Self {
        Self {
            id: view.product_id,
            number: view.number,
            name: view.name,
            description: view.description,
            picture: view.picture,
            categories: view.categories,
            status: view.status,
            variants: view.variants.into_iter().map(VariantBody::from).collect(),
            version: view.version,
        }
    }
}

impl From<VariantView> for VariantBody {
    fn from(view: VariantView) -> Self {
        let VariantView { sku, number, name, price, available } = view;
        Self { sku, number, name, price, available }
    }
}

impl From<CategoryView> for CategoryBody {
    fn from(view: CategoryView) -> Self {
        let CategoryView { slug, name, product_count } = view;
        Self { slug, name, product_count }
    }
}

impl ProductBody {
    /// The product as a command left it, for an answer that waits for no read model. How many
    /// pieces of a SKU can be sold is another aggregate's business, so the caller says.
    pub(super) fn from_aggregate(
        product_id: Uuid,
        product: &Product,
        version: u64,
        available: impl Fn(&Sku) -> u64,
    ) -> Result<Self, Problem> {
        let first = product.variants.first();
        let (Some(name), Some(first)) = (&product.name, first) else {
            return Err(Problem::not_found());
        };
        let variants = product.variants.iter().map(|held| VariantBody {
            sku: held.variant.sku.clone(),
            number: held.variant.number,
            name: held.variant.name.clone(),
            price: held.price,
            available: available(&held.variant.sku),
        });
        Ok(Self {
            id: product_id,
            number: first.variant.number,
            name: name.clone(),
            description: product.description.clone(),
            picture: product.picture.clone(),
            categories: product.categories.clone(),
            status: product.status,
            variants: variants.collect(),
            version,
        })
    }
}

/// An empty parameter counts as none: a form sends all of its fields.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::deserialize(StringDeserializer::new(text)).map(Some)
}

/// A number in its one spelling, as in `/products/7`.
fn number(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
