//! One attempt to pay an order, and what the provider said about it.
//!
//! The provider's answers come by several ways (the call, a notification, a query), repeatedly and
//! in any order. What is believed in the end does not depend on that order:
//!
//! * Answers are ranked: `pending` < `unknown` < `action_required` < `authorized` < `failed` <
//!   `declined` < `voided` < `captured`. An answer that ranks higher than what is known is
//!   recorded, every other one changes nothing.
//! * So money that moved is the truth: a capture is recorded even after a refusal, and nothing
//!   undoes it. It is recorded **as the provider says it**, whatever was requested: less, more,
//!   nothing, in another currency. Of two sums in one currency the larger one counts: captures only
//!   grow, so the smaller one was said before. Sums in different currencies stand side by side.
//! * The order takes what was requested, or nothing. It takes it from a capture of at least that
//!   much in that currency. The rest is **orphaned**: what is beyond, all of a capture that is too
//!   small or in another currency, all of one that the order refuses. What is captured is at any
//!   time what the order took and what is orphaned, to the cent, in each currency.
//! * A capture whose amount cannot be one (negative, beyond a trillion, no currency) is recorded in
//!   the provider's words. The order takes none of it.
//!
//! # Everything has an end
//!
//! | status | what ends it |
//! |---|---|
//! | `pending`, `unknown` | the answer, a notification, or settlement, which asks after seconds. What the provider has never heard of is called off there after half a minute |
//! | `action_required` | the customer; another attempt to pay the order, which calls it off first; or settlement, which calls it off after a quarter of an hour |
//! | `authorized`, or `pending` at the provider | the provider; or settlement, which calls it off after a quarter of an hour |
//! | any of these while the order was paid by another payment | settlement, which calls it off when it looks at it next, within a minute |
//! | any of these at a provider that gives no answer that ends it | settlement, which after a day records `failed` with `provider_silent` and tells the operator |
//! | `failed`, `declined`, `voided` | is one. Only money changes it |
//! | `captured` | is one. Money that has no order is shown to staff until it is paid back |
//!
//! With the end of a payment its order is paid, or can be paid by another one until its `pay_by`.

mod captures;
mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use captures::{Captured, Captures, covers};
pub use decide::{PaymentCommand, PaymentRejection};
pub use events::PaymentEvent;
pub use state::{Payment, PaymentStatus};

/// Why money is orphaned: it is too little for the order.
pub const CAPTURED_LESS: &str = "captured_less";
/// Why money is orphaned: the order took what it costs, and this is what is left.
pub const CAPTURED_MORE: &str = "captured_more";
/// Why money is orphaned: the order costs something in another currency.
pub const CAPTURED_OTHER_CURRENCY: &str = "captured_other_currency";
/// Why a capture counts as orphaned although nobody knows how much it is.
pub const CAPTURE_UNREADABLE: &str = "capture_unreadable";
