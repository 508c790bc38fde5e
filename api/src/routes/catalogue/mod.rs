//! The catalogue as everybody sees it.

mod body;
mod handlers;
mod params;

pub(in crate::routes) use body::ProductBody;
pub(in crate::routes) use handlers::{filter, page};
pub(in crate::routes) use params::{SearchText, Sort, given};

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(handlers::list))
        .routes(routes!(handlers::show))
        .routes(routes!(handlers::categories))
        .routes(routes!(handlers::suggest))
}
