//! Who changed who may do what, and who was refused?
//!
//! The changes are a read model: a row for each event of accounts, sessions and the policy that has a say in who
//! may do what. The exchange of a refresh token has none and is left out. Refusals are no events; [`requests`] keeps
//! them, bounded. [`list`] shows both as one list of one shape.

mod apply;
mod query;
pub mod requests;
mod view;

pub use query::{Filter, list};
pub use view::{Entry, Kind};

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::policy::Policy;
use domain::session::Session;
use domain::user::User;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "audit";

/// Keeps the changes.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[User::TYPE, Session::TYPE, Policy::TYPE],
    tables: &[view::ChangeRow::TABLE],
    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
