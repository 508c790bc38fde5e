//! Signing up, in and out.

mod body;
mod handlers;

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, GET, POST, Resource, public};
use domain::policy::{Asking, Lifeline};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes,
    defaults: Defaults {
        public_paths: &[
            public(6, GET, r"/\.well-known/jwks\.json"),
            // Logging out is public because its token may be over; the handler looks at what it got.
            public(14, POST, "/api/v1/auth/second-factor"),
            public(7, POST, "/api/v1/auth/(register|login|refresh|logout)"),
        ],
        lifelines: &[stranger("/api/v1/auth/login"), stranger("/api/v1/auth/second-factor")],
        ..Defaults::NONE
    },
};

const fn stranger(path: &'static str) -> Lifeline {
    Lifeline { asking: Asking::Stranger, method: POST, path }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![
        handlers::register,
        handlers::login,
        handlers::second_factor,
        handlers::refresh,
        handlers::logout,
        handlers::jwks
    ]
}
