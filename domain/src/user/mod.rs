//! A person with an account: who they are (sealed), their roles, whether they are banned.
//!
//! * An id is registered once. One whose registration was abandoned never will be.
//! * Roles are granted and revoked one by one; `anonymous` and `authenticated` are given out by
//!   us and cannot be granted.
//! * A changed password, a ban and the loss of any role but `customer` end all sessions, and
//!   all keys of programs: whoever was in the account may have made one. Staff can, too.
//! * Of the tokens that prove an e-mail address, or let somebody choose another password, the newest of
//!   each is accepted once, for an hour; a change of what it is about ends it.
//! * A second factor is asked for once it was confirmed. Each of its codes counts once.
//! * API keys act with roles that their owner has.
//! * A ban lasts until it is lifted or its time is over, also when its reason, which is sealed, is gone with
//!   the person's key.
//! * Erasure is final: the account acts as if it never was, and erasing it again changes nothing.

mod api_keys;
mod decide;
mod events;
mod second_factor;
mod state;
#[cfg(test)]
mod tests;
mod ticket;

pub use api_keys::{ApiKey, ApiKeyCommand, MAX_API_KEYS, ROTATION_SECONDS};
pub use decide::{UserCommand, UserRejection};
pub use events::{SessionsEnd, UserEvent};
pub use second_factor::{RECOVERY_CODES, SecondFactor, SecondFactorCommand};
pub use state::{Ban, BanReason, MAX_ROLES, User};
pub use ticket::{TOKEN_PAUSE_SECONDS, TOKEN_SECONDS, Ticket, Tickets};
