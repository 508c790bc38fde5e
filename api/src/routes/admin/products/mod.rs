//! Writing the catalogue: drafts, revisions, what is on sale and what no longer is.

mod body;
mod handlers;

use crate::application::App;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(handlers::list, handlers::create))
        .routes(routes!(handlers::show, handlers::revise))
        .routes(routes!(handlers::publish))
        .routes(routes!(handlers::retire))
}
