//! What the tests of several packages share: migrated databases, a journal in memory, short names for
//! values that are valid.
//!
//! **The guarantee.** Nothing that serves knows this package: it is for tests alone, and whatever cannot
//! be done panics. What the tests of only one package need stays beside them.
//!
//! ```no_run
//! #[tokio::test]
//! async fn a_cart_that_is_emptied_has_no_lines() {
//!     let pool = testkit::pool().await;
//!     let history = testkit::Journal::default();
//!     // … history.record("cart", testkit::id::<CartId>(1), &event), apply it, look at the rows …
//! }
//! ```

mod database;
mod journal;
mod values;

pub use database::{database, migrate, pool};
pub use journal::{Journal, recorded, recorded_at};
pub use values::{id, name, new_id, quantity, reason, sku, slug, usd};
