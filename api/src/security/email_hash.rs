//! An e-mail address in the security log: to be found by who knows it, and by nobody to be read.

use crate::auth::Keys;
use aws_lc_rs::hmac;
use domain::EmailAddress;
use std::fmt::Write;

/// Keeps these codes apart from others that the same secret may authenticate.
const PURPOSE: &[u8] = b"gomall security log e-mail 1";

/// Enough that no two addresses meet, and half of what the hash has.
const BYTES: usize = 16;

/// Hashes addresses with a secret of the shop that is not in the database: without it a list of addresses could be
/// tried.
pub struct EmailHash(hmac::Key);

impl EmailHash {
    /// With the secret that authenticates refresh tokens, which all processes of a shop share.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, keys.shared_secret()))
    }

    /// 32 hexadecimal digits; of two spellings of one address the same.
    pub(super) fn of(&self, email: &EmailAddress) -> String {
        let code = hmac::sign(&self.0, &[PURPOSE, email.folded().as_bytes()].concat());
        let mut text = String::with_capacity(2 * BYTES);
        for byte in &code.as_ref()[..BYTES] {
            write!(text, "{byte:02x}").expect("a text takes everything");
        }
        text
    }
}
