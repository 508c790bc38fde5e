//! Who has an account, which roles do they hold, are they banned?
//!
//! Name and e-mail stay sealed, and so does why somebody is banned: nothing here is derived from them, so staff
//! lists are ordered by number, and an erased user leaves no row. A registration that was abandoned never had one.

mod apply;
mod query;
mod view;

pub use query::{banned, by_id, by_number, is_held, list, one_of_each_kind};
pub use view::{BanView, UserView};

use crate::projection::{ReadModel, stream};
use crate::rows::Row;
use cqrs_es::Aggregate;
use domain::user::User;

/// The name of the projection, for waiting on it.
pub const NAME: &str = "users";

/// Keeps the users.
pub static READ_MODEL: ReadModel = ReadModel {
    name: NAME,
    version: 1,
    aggregates: &[User::TYPE],
    tables: &[view::UserView::TABLE],

    ordering_key: |event| Some(stream(event)),
    apply: |conn, events| Box::pin(apply::apply(conn, events)),
};
