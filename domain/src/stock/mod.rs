//! How many pieces of one SKU there are, and for whom some of them are set aside.
//!
//! * A SKU belongs to the product that took it first, for ever, in whatever case: whoever takes one brings the spelling
//!   that is taken already, and expects of a new one that nobody takes it in another (`Tag::of_sku`).
//! * `on_hand - reserved >= 0`, always: pieces are set aside only while there are enough, and a
//!   correction never goes below what is set aside.
//! * One reservation an order. It ends in a commit (the pieces leave) or a release (they can be
//!   sold to others).
//! * Releasing what is not set aside changes nothing; committing it is refused.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{MAX_RECEIVED, StockCommand, StockRejection};
pub use events::StockEvent;
pub use state::{MAX_ON_HAND, Reservation, StockItem};
