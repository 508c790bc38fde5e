//! What staff and administrators do, resource by resource.

mod audit;
mod bans;
mod dead_letters;
mod explain;
mod payments;
mod permission_rules;
pub(crate) mod products;
mod projections;
mod public_paths;
mod second_factor_roles;
mod stock;
mod users;

use super::Resource;

/// The resources of staff that tell something.
pub(super) const RESOURCES: &[Resource] = &[
    bans::RESOURCE,
    dead_letters::RESOURCE,
    explain::RESOURCE,
    permission_rules::RESOURCE,
    products::RESOURCE,
    public_paths::RESOURCE,
    second_factor_roles::RESOURCE,
    stock::RESOURCE,
    users::RESOURCE,
];
