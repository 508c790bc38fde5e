//! Signing in: keys, tokens and passwords.
//!
//! **Guarantee.** No secret of a user is stored or logged anywhere but as an argon2id hash: access
//! tokens are signed, refresh tokens are computed, so that a stolen database signs nobody in.

mod brake;
mod keys;
mod password;
mod refresh;
mod token;

pub use brake::{Attempt, Brake};
pub use keys::{KeyError, KeyPaths, Keys};
pub use password::{DEFAULT_PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS, Passwords};
pub use refresh::RefreshTokens;
pub use token::{ACCESS_TOKEN_SECONDS, AccessTokens, BadToken, Claims};
