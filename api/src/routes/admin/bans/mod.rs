//! All bans in one list: of addresses, which the policy knows, and of users.
//!
//! A ban of a user has the user's id. In the list the addresses come first.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{DELETE, Defaults, GET, POST, Resource, lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        lifelines: &[
            lifeline(GET, "/api/v1/admin/bans"),
            lifeline(POST, "/api/v1/admin/bans"),
            lifeline(GET, "/api/v1/admin/bans/{id}"),
            lifeline(DELETE, "/api/v1/admin/bans/{id}"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::list, handlers::add, handlers::show, handlers::lift]
}
