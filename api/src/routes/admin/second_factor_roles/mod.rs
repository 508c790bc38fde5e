//! The roles that only count for whoever has proved themselves with a second factor.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{DELETE, Defaults, GET, Resource, lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        lifelines: &[
            lifeline(GET, "/api/v1/admin/second-factor-roles"),
            lifeline(DELETE, "/api/v1/admin/second-factor-roles/{role}"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::require, handlers::waive]
}
