//! How a user is shown: to themselves, and to staff.

mod body;
mod handlers;

pub(in crate::routes) use body::{UserBody, from_aggregate, from_view};

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{ANY, Defaults, Resource, allow};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        rules: &[allow(2, "authenticated", ANY, "/api/v1/me(/.*)?", "One's own account and cart.")],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::me]
}
