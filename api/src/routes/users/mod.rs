//! How a user is shown: to themselves, and to staff.

mod body;
mod handlers;

pub(in crate::routes) use body::{UserBody, from_aggregate, from_view};

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(handlers::me))
}
