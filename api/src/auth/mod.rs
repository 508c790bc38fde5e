//! Signing in: keys, tokens and passwords.
//!
//! **Guarantee.** No secret of a user is stored or logged anywhere but as an argon2id hash: access
//! tokens are signed, refresh tokens are computed, so that a stolen database signs nobody in.

mod keys;
mod password;
mod refresh;
mod token;

pub use keys::{KeyError, KeyPaths, Keys};
pub use password::{DEFAULT_PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS, Passwords};
pub use refresh::RefreshTokens;
pub use token::{ACCESS_TOKEN_SECONDS, AccessTokens, BadToken, Claims};

use std::sync::Arc;

/// Everything that signing in needs.
pub struct Auth {
    /// Issues access tokens; the guard checks them with the same.
    pub tokens: Arc<AccessTokens>,
    /// Issues and checks refresh tokens.
    pub refresh: RefreshTokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
}

impl Auth {
    /// Signs with `keys`; accepts new passwords of at least `password_min_chars` characters and
    /// hashes on `cores` cores at once.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn new(
        keys: &Keys,
        password_min_chars: usize,
        cores: usize,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            tokens: Arc::new(AccessTokens::new(keys)),
            refresh: RefreshTokens::new(keys),
            passwords: Passwords::new(password_min_chars, cores)?,
        })
    }
}
