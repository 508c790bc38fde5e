//! Who may do what?
//!
//! The rules, the public paths and the banned addresses of the one policy, each with the sequence
//! of the policy's event that wrote it last as its version. [`load`] gives all of it in one
//! snapshot, with the version of the policy as a whole, for whoever enforces it.

mod apply;
mod query;
mod view;

pub use query::{
    address_ban_by_id, address_bans, load, public_path_by_id, public_paths, rule_by_id, rules,
};
pub use view::{AddressBanView, PolicyView, PublicPathView, RuleView};

use crate::projection::ReadModel;
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::policy::Policy;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "permissions";

/// Keeps the policy.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[Policy::TYPE],
    tables: &[
        view::PolicyRow::TABLE,
        view::RuleView::TABLE,
        view::PublicPathView::TABLE,
        view::AddressBanView::TABLE,
    ],
    // The policy is one stream, and whoever reads half of it decides wrongly.
    ordering_key: |_| None,
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
