//! The permission rules: which roles may do what on which paths.

mod body;
mod handlers;

pub(in crate::routes) use handlers::check_methods;

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(handlers::list, handlers::add)).routes(routes!(
        handlers::show,
        handlers::change,
        handlers::remove
    ))
}
