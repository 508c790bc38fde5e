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

use crate::projection::{ApplyError, Projection};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::policy::Policy;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "permissions";

/// Keeps the policy.
#[derive(Debug, Clone, Copy)]
pub struct Permissions;

impl Projection for Permissions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[Policy::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &[
            view::PolicyRow::TABLE,
            view::RuleView::TABLE,
            view::PublicPathView::TABLE,
            view::AddressBanView::TABLE,
        ]
    }

    fn ordering_key(&self, _: &RecordedEvent) -> Option<String> {
        // The policy is one stream, and whoever reads half of it decides wrongly.
        None
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(apply::apply(conn, events))
    }
}
