//! The member's orders.

mod body;
mod handlers;

pub(in crate::routes) use body::{OrderBody, from_aggregate};

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(handlers::list)).routes(routes!(handlers::show))
}
