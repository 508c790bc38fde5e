//! The member's cart.

mod body;
mod handlers;

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(handlers::show))
        .routes(routes!(handlers::add_line, handlers::clear))
        .routes(routes!(handlers::change_line, handlers::remove_line))
}
