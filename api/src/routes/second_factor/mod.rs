//! The second factor of the caller.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, Resource};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes; the rule for one's own account is about them.
pub(in crate::routes) const RESOURCE: Resource = Resource { routes, defaults: Defaults::NONE };

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::offer, handlers::confirm, handlers::remove]
}
