//! Who has an account, which roles do they hold, are they banned?
//!
//! Name and e-mail stay sealed: nothing here is derived from them, so staff lists are ordered by
//! number, and an erased user leaves no row. A registration that was abandoned never had one.

mod apply;
mod query;
mod view;

pub use query::{banned, by_id, by_number, list, others_with};
pub use view::{BanView, UserView};

use crate::projection::{ApplyError, Projection, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::user::User;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use std::sync::Arc;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "users";

/// Keeps the users.
#[derive(Debug, Clone, Copy)]
pub struct Users;

impl Projection for Users {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[User::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &[view::UserView::TABLE]
    }

    fn ordering_key(&self, event: &RecordedEvent) -> Option<String> {
        Some(stream(event))
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        events: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(apply::apply(conn, events))
    }
}
