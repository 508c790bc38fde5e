//! The journal for analysts: every event, in order, from any position.

mod body;
mod handlers;
mod params;

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(handlers::list))
}
