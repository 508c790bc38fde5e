//! A person with an account: who they are (sealed), their roles, whether they are banned.
//!
//! * An id is registered once. One whose registration was abandoned never will be.
//! * Roles are granted and revoked one by one; `anonymous` and `authenticated` are given out by
//!   us and cannot be granted.
//! * A ban lasts until it is lifted or its time is over.
//! * Erasure is final: the account acts as if it never was, and erasing it again changes nothing.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{UserCommand, UserRejection};
pub use events::UserEvent;
pub use state::{Ban, MAX_ROLES, User};
