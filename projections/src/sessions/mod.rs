//! Where is a user signed in?
//!
//! A row is a session that was not ended by itself. Whether it is over, by time or because all sessions of
//! its user ended, depends on the moment of the question, which brings both along.

mod apply;
mod query;
mod view;

pub use query::list;
pub use view::SessionView;

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::session::Session;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "sessions";

/// Keeps the sessions.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[Session::TYPE],
    tables: &[view::SessionView::TABLE],

    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
