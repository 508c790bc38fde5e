//! The journal for analysts: every event, in order, from any position.

mod body;
mod handlers;
mod params;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, GET, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        rules: &[allow(10, "analyst", GET, "/api/v1/events(/.*)?", "Replaying every event.")],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list]
}
