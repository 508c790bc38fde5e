//! An e-mail address in the security log: to be found by who knows it, and by nobody to be read.

use crate::auth::Keys;
use commands::bus::FingerprintKey;
use domain::EmailAddress;

/// What the addresses are hashed for.
const PURPOSE: &str = "e-mail at sign-in";

/// Hashes addresses with a secret of the shop that is not in the database: without it a list of addresses could be
/// tried.
pub struct EmailHash(FingerprintKey);

impl EmailHash {
    /// With the secret that keys the fingerprints of requests, which all processes of a shop share.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self(keys.fingerprints())
    }

    /// 32 hexadecimal digits; of two spellings of one address the same.
    pub(super) fn of(&self, email: &EmailAddress) -> String {
        self.0.pseudonym(PURPOSE, &email.folded())
    }
}
