//! The catalogue as everybody sees it.

mod body;
mod handlers;
mod params;

pub(in crate::routes) use body::ProductBody;
pub(in crate::routes) use handlers::{filter, page};
pub(in crate::routes) use params::{SearchText, Sort, given};

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, GET, Resource, public};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::map_response;
use axum::response::Response;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        public_paths: &[
            public(9, GET, "/api/v1/products(/[^/]+)?"),
            public(10, GET, "/api/v1/(categories|search/suggest)"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::show, handlers::categories, handlers::suggest]
        .layer(map_response(is_asked_for_again))
}

/// What is on sale is nobody's secret: a browser may keep it, and asks whether it is still so.
async fn is_asked_for_again(mut response: Response) -> Response {
    let kept = response.headers_mut().entry(CACHE_CONTROL);
    kept.or_insert(const { HeaderValue::from_static("private, no-cache") });
    response
}
