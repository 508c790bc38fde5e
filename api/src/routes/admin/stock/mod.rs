//! Booking stock: what arrived, and what turned out to be otherwise.

mod body;
mod handlers;

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(handlers::list))
        .routes(routes!(handlers::receive))
        .routes(routes!(handlers::adjust))
}
