//! Booking stock: what arrived, and what turned out to be otherwise. And all that was booked.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, Resource};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource { routes, defaults: Defaults::NONE };

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::receive, handlers::adjust, handlers::ledger]
}
