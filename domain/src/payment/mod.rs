//! One attempt to pay an order, and what the provider said about it.
//!
//! The provider's answers come by several ways (the call, a notification, a query), repeatedly and
//! in any order. What is believed in the end does not depend on that order:
//!
//! * Answers are ranked: `pending` < `unknown` < `action_required` < `authorized` < `failed` <
//!   `declined` < `voided` < `captured`. An answer that ranks higher than what is known is
//!   recorded, every other one changes nothing.
//! * So money that moved is the truth: a capture is recorded even after a refusal, and nothing
//!   undoes it. Whoever sees that no order waits for it marks the payment as orphaned.
//! * At most what was requested is captured, once.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{PaymentCommand, PaymentRejection};
pub use events::PaymentEvent;
pub use state::{Payment, PaymentStatus};
