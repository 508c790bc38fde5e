//! Writing the catalogue: drafts, revisions, what is on sale and what no longer is.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{ANY, Defaults, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        rules: &[allow(
            6,
            "staff",
            ANY,
            "/api/v1/admin/(products|stock|categories)(/.*)?",
            "The catalogue and its stock.",
        )],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![
        handlers::list,
        handlers::create,
        handlers::show,
        handlers::revise,
        handlers::publish,
        handlers::retire
    ]
}
