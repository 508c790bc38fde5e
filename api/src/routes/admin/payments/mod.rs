//! What staff see of payments: what the provider took, and what has to go back.

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
        rules: &[allow(14, "staff", GET, "/api/v1/admin/payments", "Money that has to go back.")],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list]
}
