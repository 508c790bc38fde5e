//! Choosing another password, and proving an e-mail address.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, POST, Resource, public};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        public_paths: &[public(8, POST, "/api/v1/auth/(verify-email|password-reset(/confirm)?)")],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![
        handlers::change_password,
        handlers::ask_password_reset,
        handlers::reset_password,
        handlers::ask_verification,
        handlers::verify_email
    ]
}
