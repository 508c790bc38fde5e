//! The routes: one module for each part of the contract, each handler a line from the request to a
//! plan or a query and back.
//!
//! The next route is a function in one of these modules (or a module of its own, with a line in
//! [`all`]), a test, and a permission rule: what no rule allows is refused before it gets here.

pub mod admin;
pub mod assets;
pub mod auth;
pub mod cart;
pub mod catalogue;
pub mod checkout;
pub mod event_types;
pub mod events;
pub mod orders;
pub mod payments;
pub mod root;
pub mod schema;
pub mod users;
pub mod webhooks;

use crate::application::App;
use crate::http::Limit;
use serde::Deserialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Every route of the contract that the shop itself answers.
pub fn all() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(users::routes())
        .merge(catalogue::routes())
        .merge(cart::routes())
        .merge(checkout::routes())
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(webhooks::routes())
        .merge(events::routes())
        .merge(event_types::routes())
        .merge(admin::routes())
        .merge(assets::routes())
}

/// No parameters, or no members of the body.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// The page's size as the read models take it.
pub(crate) fn page_limit(limit: Limit) -> projections::Limit {
    limit.into()
}
