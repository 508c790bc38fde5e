//! What staff and administrators do. Who may use which of these is said by permission rules alone.

pub mod audit;
pub mod bans;
pub mod dead_letters;
pub mod explain;
pub mod payments;
pub mod permission_rules;
pub mod products;
pub mod projections;
pub mod public_paths;
mod second_factor_roles;
pub mod stock;
pub mod users;

mod network;
mod policy;
mod reach;

use super::resource::Resource;

/// The resources of staff. The next one is a line here.
pub(super) const RESOURCES: &[Resource] = &[
    products::RESOURCE,
    stock::RESOURCE,
    users::RESOURCE,
    payments::RESOURCE,
    permission_rules::RESOURCE,
    explain::RESOURCE,
    public_paths::RESOURCE,
    second_factor_roles::RESOURCE,
    bans::RESOURCE,
    projections::RESOURCE,
    dead_letters::RESOURCE,
    audit::RESOURCE,
];
