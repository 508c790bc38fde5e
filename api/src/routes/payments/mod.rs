//! Paying an order.

mod body;
mod handlers;

pub(in crate::routes) use body::{PaymentBody, PaymentRequest};

use crate::application::App;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, Resource};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// This resource's routes. No rule of a new shop is its own.
pub(in crate::routes) const RESOURCE: Resource = Resource { routes, defaults: Defaults::NONE };

fn routes() -> OpenApiRouter<Arc<App>> {
    routes![handlers::pay]
}
