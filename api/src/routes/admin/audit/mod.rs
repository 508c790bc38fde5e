//! Who changed who may do what, and who was refused: one list of one shape.
//!
//! Changes are read from the journal's read model, refusals from the bounded log of [`crate::security`].

mod body;
mod handlers;
mod params;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, Resource};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource { routes, defaults: Defaults::NONE };

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list]
}
