//! Signing in: keys, tokens and passwords.
//!
//! **Guarantee.** No secret of a user is stored or logged anywhere but as an argon2id hash: access
//! tokens are signed, refresh tokens and those in mails are computed, API keys and recovery codes are kept as
//! hashes, so that a stolen database signs nobody in. The secret of a second factor is sealed.

mod api_key;
mod brake;
mod keys;
mod numbered;
mod password;
mod places;
mod second_factor;
mod token;

pub use api_key::{ApiKeySecret, PREFIX as API_KEY_PREFIX};
pub use brake::{Attempt, Brake};
pub use keys::{KeyError, KeyPaths, Keys};
pub use numbered::{NumberedTokens, Purpose};
pub use password::{DEFAULT_PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS, Passwords};
pub use places::SignInPlaces;
pub use second_factor::{RightCode, SecondFactorSetup, right_code};
pub use token::{ACCESS_TOKEN_SECONDS, AccessTokens, BadToken, Claims};
