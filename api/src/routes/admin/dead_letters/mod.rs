//! Events that a consumer of the journal could not take in, and what to do about them.

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
        .routes(routes!(handlers::retry))
        .routes(routes!(handlers::give_up))
}
