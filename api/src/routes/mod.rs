//! The routes: one folder for each part of the contract, each handler a line from the request to a
//! use case or a query and back.
//!
//! A folder a resource: `mod.rs` has the prose, the routes and what a new shop allows of them,
//! `body.rs` what goes over the wire, `handlers.rs` what is done. The next resource is such a folder
//! and a line in `RESOURCES` here, or in that of [`admin`], and a file of tests of the same name in
//! `api/gomall/tests/shop/resources`.

pub mod admin;
pub mod api_keys;
pub mod assets;
pub mod auth;
pub mod cart;
pub mod catalogue;
pub mod checkout;
pub mod credentials;
pub mod default_policy;
pub mod event_types;
pub mod events;
pub mod orders;
pub mod payments;
mod resource;
pub mod root;
pub mod second_factor;
pub mod sessions;
pub mod users;
pub mod webhooks;

use crate::application::App;
use crate::http::{Cursor, Limit};
use resource::{Defaults, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// The resources that are not staff's. The next one is a line here.
const RESOURCES: &[Resource] = &[
    auth::RESOURCE,
    credentials::RESOURCE,
    users::RESOURCE,
    sessions::RESOURCE,
    second_factor::RESOURCE,
    api_keys::RESOURCE,
    catalogue::RESOURCE,
    cart::RESOURCE,
    checkout::RESOURCE,
    orders::RESOURCE,
    payments::RESOURCE,
    webhooks::RESOURCE,
    events::RESOURCE,
    event_types::RESOURCE,
    assets::RESOURCE,
];

fn resources() -> impl Iterator<Item = &'static Resource> {
    RESOURCES.iter().chain(admin::RESOURCES)
}

/// Every route of the contract that the shop itself answers.
pub fn all() -> OpenApiRouter<Arc<App>> {
    resources().fold(OpenApiRouter::new(), |all, resource| all.merge((resource.routes)()))
}

/// What a new shop allows, resource by resource.
fn defaults() -> impl Iterator<Item = Defaults> {
    let apart = [root::DEFAULTS, default_policy::COMMON];
    resources().map(|resource| resource.defaults).chain(apart)
}

/// No parameters, or no members of the body.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParams {}

/// A page of a list that has no filter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    /// How many items at most.
    #[serde(default)]
    pub(crate) limit: Limit,
    /// The last page's `next_cursor`.
    pub(crate) cursor: Option<Cursor>,
}

/// The page's size as the read models take it.
pub(crate) fn page_limit(limit: Limit) -> projections::Limit {
    limit.into()
}
