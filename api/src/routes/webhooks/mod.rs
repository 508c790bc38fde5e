//! What payment providers tell us on their own accord.

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
        public_paths: &[
            // Signed by the provider; the handler checks it.
            public(12, POST, "/api/v1/webhooks/payments/[^/]+"),
        ],
        ..Defaults::NONE
    },
};

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::payment_notification]
}
