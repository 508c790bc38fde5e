//! The member's orders.

mod body;
mod handlers;

pub(in crate::routes) use body::{OrderBody, from_aggregate};

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
            4,
            "authenticated",
            ANY,
            "/api/v1/orders(/.*)?",
            "One's own orders and their payments; the handlers see to whose they are.",
        )],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::show]
}
