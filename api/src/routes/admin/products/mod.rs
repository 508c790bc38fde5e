//! Writing the catalogue: drafts, revisions, what is on sale and what no longer is.

mod body;
mod handlers;

use crate::application::App;
use crate::routes::resource::{ANY, Access, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    access: Access {
        rules: &[allow(
            6,
            "staff",
            ANY,
            "/api/v1/admin/(products|stock|categories)(/.*)?",
            "The catalogue and its stock.",
        )],
        public_paths: &[],
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(handlers::list, handlers::create))
        .routes(routes!(handlers::show, handlers::revise))
        .routes(routes!(handlers::publish))
        .routes(routes!(handlers::retire))
}
