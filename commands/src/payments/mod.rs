//! How an order is paid, also across a crash.
//!
//! 1. `PaymentRequested` is durable before the provider hears of it (with the order's
//!    `OrderPaymentStarted`, so that no second payment starts beside it).
//! 2. The provider is asked, with the payment's id as its idempotency key.
//! 3. The answer is recorded. Captured money, the order's being paid and the stock's being sold
//!    are one append.
//!
//! Whoever dies between 1 and 3 leaves a payment that [`settlement`] finds, asks about and
//! records: an unknown outcome is queried, never blindly retried.
//!
//! Another attempt calls an open action of the one before off first, see [`start()`]. How every
//! payment ends is listed in [`domain::payment`].

mod provider;
mod record;
pub mod settlement;
mod start;

pub use provider::{Charge, PaymentProvider, ProviderAnswer};
pub use record::{Attempt, charge_and_record, record};
pub use start::start;
