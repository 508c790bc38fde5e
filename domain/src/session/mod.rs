//! One sign-in and the family of refresh tokens that follow from it.
//!
//! * Tokens are numbered from 1. A token is live from when it was given out until it is spent.
//! * Refreshing spends the presented token and gives out the next number.
//! * A spent token that comes back within [`TOLERANCE_SECONDS`] of the exchange that spent it gets
//!   another live token: two tabs of one browser refresh at the same moment. Both successors work.
//! * A spent token that comes back later was copied: the whole family is revoked.
//! * At most [`MAX_LIVE_TOKENS`] are live; the oldest one beyond is no longer accepted, without
//!   harm to the others.
//! * A session ends by being revoked, at `expires_at` if it is not refreshed, and at `ends_at` if it is.
//! * It belongs to an epoch of its user: when all of their sessions end, those of the epochs before do.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{SessionCommand, SessionRejection};
pub use events::{SessionEnd, SessionEvent};
pub use state::{MAX_LIVE_TOKENS, MAX_TOLERATED_TOKENS, Session, SpentToken, TOLERANCE_SECONDS};
