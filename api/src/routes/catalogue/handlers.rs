use super::body::{CategoryBody, Items, ProductBody};
use super::params::{ProductListParams, Reference, SearchText, Sort, SuggestParams};
use crate::application::App;
use crate::http::{AtLeast, Etag, Id, IfNoneMatch, Json, Limit, List, Params, Path, Problem};
use crate::routes::NoParams;
use axum::extract::State;
use axum::response::Response;
use domain::product::ProductStatus;
use domain::{Currency, Slug};
use projections::catalogue::{self, ProductFilter, ProductSort};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most suggestions that one answer holds: what fits below a search box.
const MAX_SUGGESTIONS: usize = 10;

/// The matches that suggestions are taken from: several products may share a name.
const SUGGESTING_PRODUCTS: u16 = 50;

/// The products on sale.
#[utoipa::path(get, path = "/api/v1/products", tag = "catalogue", responses((status = 200, body = List<ProductBody>)))]
pub(super) async fn list(
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
    responses((status = 200, body = ProductBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Reference(reference)): Path<Reference>,
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
pub(super) async fn categories(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<Items<CategoryBody>>, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    let items = catalogue::categories(&app.pool).await?;
    Ok(Json(Items { items: items.into_iter().map(CategoryBody::from).collect() }))
}

/// Names of products on sale that somebody may be about to type.
#[utoipa::path(get, path = "/api/v1/search/suggest", tag = "catalogue", responses((status = 200, body = Items<String>)))]
pub(super) async fn suggest(
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
    let page = catalogue::list(&app.searches, &filter, sort, None, limit).await?;
    let mut seen = BTreeSet::new();
    let names = page.items.iter().map(|product| product.name.as_str().to_owned());
    let items = names.filter(|name| seen.insert(name.clone())).take(MAX_SUGGESTIONS).collect();
    Ok(Json(Items { items }))
}

/// What a list of products is narrowed down to.
pub(in crate::routes) fn filter(
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
pub(in crate::routes) async fn page(
    app: &App,
    at_least: AtLeast,
    filter: &ProductFilter,
    sort: Option<Sort>,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Json<List<ProductBody>>, Problem> {
    app.all_caught_up(catalogue::READS, at_least).await?;
    let currency = filter.currency.unwrap_or(app.currency);
    let sort = match sort {
        None => ProductSort::Relevance,
        Some(Sort::Name) => ProductSort::Name,
        Some(Sort::Price) => ProductSort::Price(currency),
        Some(Sort::PriceDescending) => ProductSort::PriceDescending(currency),
        Some(Sort::Newest) => ProductSort::Newest,
    };
    let pool = if filter.text.is_some() { &app.searches } else { &app.pool };
    let page = catalogue::list(pool, filter, sort, cursor, limit.into()).await?;
    Ok(Json(List::from(page).map(ProductBody::from)))
}

/// A number in its one spelling, as in `/products/7`.
fn number(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
