//! The permission rules: which roles may do what on which paths.

mod body;
mod dry_run;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{DELETE, Defaults, GET, POST, PUT, Resource, lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        lifelines: &[
            lifeline(GET, "/api/v1/admin/permission-rules"),
            lifeline(POST, "/api/v1/admin/permission-rules"),
            lifeline(GET, "/api/v1/admin/permission-rules/{id}"),
            lifeline(PUT, "/api/v1/admin/permission-rules/{id}"),
            lifeline(DELETE, "/api/v1/admin/permission-rules/{id}"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![
        handlers::list,
        handlers::add,
        handlers::show,
        handlers::change,
        handlers::remove,
        dry_run::dry_run
    ]
}
