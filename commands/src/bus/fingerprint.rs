//! What is kept of a request's body: enough to tell another body apart, and nothing to guess by.

use super::plan::RequestKey;
use aws_lc_rs::hmac;

/// Keeps these codes apart from others that the same secret may authenticate.
const PURPOSE: &[u8] = b"gomall request fingerprint 1";

const PSEUDONYM: &[u8] = b"gomall pseudonym 1";

/// Half of what the hash has: no two texts meet.
const PSEUDONYM_BYTES: usize = 16;

/// Turns a body's digest into what the journal keeps. A digest alone could be compared with the
/// digests of guesses by whoever reads the database; this needs a secret that is not in there. All
/// processes of one shop must hold the same.
#[derive(Clone)]
pub struct FingerprintKey(hmac::Key);

impl FingerprintKey {
    /// A key from at least 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// HMAC-SHA-256 of the request's key and its body's digest: two requests with the same body have
    /// nothing in common.
    #[must_use]
    pub fn of(&self, request: &RequestKey) -> [u8; 32] {
        let message = [PURPOSE, request.key.as_bytes(), &request.fingerprint].concat();
        let code = hmac::sign(&self.0, &message);
        code.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// What stands for a personal text in the database, for one purpose: 32 hexadecimal digits of an HMAC, alike for
    /// who knows the text, and unreadable without the secret.
    #[must_use]
    pub fn pseudonym(&self, purpose: &str, text: &str) -> String {
        let message = [PSEUDONYM, purpose.as_bytes(), b"\0", text.as_bytes()].concat();
        let code = hmac::sign(&self.0, &message);
        code.as_ref()[..PSEUDONYM_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_fingerprint_depends_on_secret_request_and_body_and_shows_none_of_them() {
        let request = RequestKey { key: Uuid::from_u128(1), fingerprint: [2; 32] };
        let other_request = RequestKey { key: Uuid::from_u128(2), ..request };
        let other_body = RequestKey { fingerprint: [3; 32], ..request };
        let (ours, theirs) = (FingerprintKey::new(&[7; 32]), FingerprintKey::new(&[8; 32]));
        let all = [
            ours.of(&request),
            ours.of(&other_request),
            ours.of(&other_body),
            theirs.of(&request),
            request.fingerprint,
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(ours.of(&request), FingerprintKey::new(&[7; 32]).of(&request));
    }
}
