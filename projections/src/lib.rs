//! What the shop shows, derived from the journal's events.
//!
//! **Guarantee.** Every event takes effect in every read model exactly once, in the order of its
//! position: rows and checkpoint change in one transaction, fenced by a compare-and-set on the
//! checkpoint, so a crash, a retry or a second worker changes nothing. An event that cannot be
//! applied is never skipped: it and what depends on it wait as [`dead_letters`], all other events
//! go on, and a retry applies what waited in its order. The rows depend on the events alone,
//! not on how they were cut into batches nor on the clock, so a read model can be rebuilt.
//!
//! Every read model is a folder of the same four files:
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the question it answers, in prose, and its row of the table: a [`ReadModel`] |
//! | `view.rs` | its rows as Rust types |
//! | `apply.rs` | events → rows |
//! | `query.rs` | rows → answers |
//!
//! The next read model is a copy of that shape, its tables in a migration and one line in [`ALL`].
//! SQL names tables without a schema: a rebuild runs the same code with another `search_path`.
//!
//! **Rebuilds.** [`rebuild()`] builds one read model anew from the first event on, in clones of the
//! tables that it declares, while readers and the live worker go on; then it swaps them in, at a
//! position that is not before the live one. It mends rows, revives a parked projection whose code
//! was fixed, and brings rows to a new [`Projection::version`]. Events are only read: a rebuild has
//! no effect but its rows.

mod checkpoints;
pub mod dead_letters;
mod ordering;
mod page;
mod projection;
mod rebuild;
mod rows;
mod runner;
mod status;

pub mod audit;
pub mod carts;
pub mod catalogue;
pub mod orders;
pub mod permissions;
pub mod sessions;
pub mod stock;
pub mod users;

pub use checkpoints::{Behind, Checkpoints};
pub use page::{Limit, Page, QueryError};
pub use projection::{Apply, ApplyError, Projection, ReadModel, stream};
pub use rebuild::{
    Progress, REBUILD_BATCH_EVENTS, RebuildError, RebuildOptions, Rebuilt, Stage, rebuild,
};
pub use runner::{BATCH_EVENTS, BATCH_PATIENCE, Options, STANDS_STILL, run, run_one};
pub use status::{ProjectionStatus, Status, list_projections};

/// Every projection that this build keeps.
pub const ALL: &[&dyn Projection] = &[
    &catalogue::READ_MODEL,
    &carts::READ_MODEL,
    &orders::READ_MODEL,
    &users::READ_MODEL,
    &permissions::READ_MODEL,
    &stock::READ_MODEL,
    &sessions::READ_MODEL,
    &audit::READ_MODEL,
];
