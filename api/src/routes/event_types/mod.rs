//! What events there are, and what each holds.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, GET, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        rules: &[allow(11, "analyst", GET, "/api/v1/event-types", "The schemas of the events.")],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list]
}
