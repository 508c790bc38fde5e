//! What a customer ordered, at the prices of that moment, and whether it is paid.
//!
//! * An order has 1 to [`MAX_LINES`] lines, one a SKU; lines and totals balance to the cent, in one
//!   currency, and never change afterwards.
//! * An order whose total is zero is paid with being placed, in one append: it requires no payment, and none may start.
//! * The contact can be changed while the order waits for payment and none is under way.
//! * One payment at a time, started no later than `pay_by`; after it ended without money another
//!   one may start. A payment is started once: starting it again changes nothing.
//! * Money that arrived counts, even after `pay_by` or from a payment that was given up: an order
//!   that waits for payment becomes paid by it. The first payment wins; a second one is refused,
//!   and whoever holds its money gives it back. So does whoever holds too little: the order is paid
//!   in one piece or not at all, and a payment that took too little has ended like any other.
//! * An order that nobody paid by `pay_by` is cancelled, once no payment is under way. A paid order never is,
//!   and a cancelled one is never paid: whichever comes first.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{OrderCommand, OrderRejection};
pub use events::{CancelReason, OrderEvent, OrderLine, PaymentEnd, Totals};
pub use state::{MAX_LINES, Order, OrderStatus};
