//! The paths that need no permission.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{DELETE, Defaults, GET, POST, Resource, lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        lifelines: &[
            lifeline(GET, "/api/v1/admin/public-paths"),
            lifeline(POST, "/api/v1/admin/public-paths"),
            lifeline(GET, "/api/v1/admin/public-paths/{id}"),
            lifeline(DELETE, "/api/v1/admin/public-paths/{id}"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::add, handlers::show, handlers::remove]
}
