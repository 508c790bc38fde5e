//! Who has an account: roles and bans.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, Resource};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource { routes, defaults: Defaults::NONE };

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![
        handlers::list,
        handlers::grant_role,
        handlers::revoke_role,
        handlers::ban,
        handlers::unban,
        handlers::end_sessions
    ]
}
