//! What somebody wants to buy.
//!
//! * One line a SKU; adding a SKU again adds to its line.
//! * A line holds 1 to 999 pieces, a cart at most [`MAX_LINES`] lines.
//! * One currency: the first line's.
//! * The price of a line is the one that was last written to it; the checkout compares.
//! * The cart is emptied only together with the order that its lines became.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{CartCommand, CartRejection};
pub use events::CartEvent;
pub use state::{Cart, CartLine, MAX_LINES};
