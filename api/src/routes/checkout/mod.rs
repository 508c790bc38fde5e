//! From the cart to an order, and to its first payment.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, POST, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        rules: &[allow(
            3,
            "authenticated",
            POST,
            "/api/v1/checkouts(/quote)?",
            "Ordering one's own cart.",
        )],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::check_out, handlers::quote]
}
