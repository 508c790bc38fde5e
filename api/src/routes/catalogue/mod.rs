//! The catalogue as everybody sees it.

mod body;
mod handlers;
mod params;

pub(in crate::routes) use body::ProductBody;
pub(in crate::routes) use handlers::{filter, page};
pub(in crate::routes) use params::{SearchText, Sort, given};

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Access, GET, Resource, public};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    access: Access {
        rules: &[],
        public_paths: &[
            public(9, GET, "/api/v1/products(/[^/]+)?"),
            public(10, GET, "/api/v1/(categories|search/suggest)"),
        ],
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::show, handlers::categories, handlers::suggest]
}
