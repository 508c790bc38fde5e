//! What staff and administrators do. Who may use which of these is said by permission rules alone.

pub mod bans;
pub mod dead_letters;
pub mod explain;
pub mod payments;
pub mod permission_rules;
pub mod products;
pub mod projections;
pub mod public_paths;
pub mod stock;
pub mod users;

mod policy;

use crate::application::App;
use crate::http::Limit;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

/// The routes of these modules.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(products::routes())
        .merge(stock::routes())
        .merge(users::routes())
        .merge(payments::routes())
        .merge(permission_rules::routes())
        .merge(explain::routes())
        .merge(public_paths::routes())
        .merge(bans::routes())
        .merge(projections::routes())
        .merge(dead_letters::routes())
}

/// A page of a list that has no filter.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The last page's `next_cursor`.
    cursor: Option<String>,
}
