//! The second factor of the caller.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, POST, Resource};
use domain::policy::{Asking, Lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes; the rule for one's own account is about them. Where a role of administrators wants
/// a second factor, nobody repairs anything without them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        lifelines: &[
            newcomer(POST, "/api/v1/me/second-factor"),
            newcomer(POST, "/api/v1/me/second-factor/confirm"),
        ],
        ..Defaults::NONE
    },
};

const fn newcomer(method: &'static str, path: &'static str) -> Lifeline {
    Lifeline { asking: Asking::Newcomer, method, path }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::offer, handlers::confirm, handlers::remove]
}
