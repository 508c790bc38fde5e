//! Refresh tokens: nothing secret is stored for them, they are computed.
//!
//! A token names a session and the number of the token within it, authenticated by our secret.
//! Whether that number may still be exchanged is the session aggregate's decision.

use super::keys::Keys;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::SessionId;
use uuid::Uuid;

/// Keeps these codes apart from others that the same secret may authenticate.
const PURPOSE: &[u8] = b"gomall refresh token 1";

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 4;
const CODE_BYTES: usize = 32;
const TOKEN_BYTES: usize = SESSION_BYTES + GENERATION_BYTES + CODE_BYTES;

/// Issues and checks refresh tokens.
pub struct RefreshTokens {
    key: hmac::Key,
}

impl RefreshTokens {
    /// Uses the keys' refresh secret.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &keys.refresh_secret) }
    }

    /// Token number `generation` of the session: 70 characters of base64url.
    #[must_use]
    pub fn issue(&self, session_id: SessionId, generation: u32) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend_from_slice(session_id.uuid().as_bytes());
        token.extend_from_slice(&generation.to_be_bytes());
        let code = hmac::sign(&self.key, &message(&token));
        token.extend_from_slice(code.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// The session and the number of a token of ours; nothing for any other text.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<(SessionId, u32)> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, code) = bytes.split_at_checked(SESSION_BYTES + GENERATION_BYTES)?;
        // Compares in constant time: how wrong a code is must not show.
        hmac::verify(&self.key, &message(named), code).ok()?;
        let (session_id, generation) = named.split_at(SESSION_BYTES);
        let generation = u32::from_be_bytes(generation.try_into().ok()?);
        Some((Uuid::from_slice(session_id).ok()?.into(), generation))
    }
}

fn message(named: &[u8]) -> Vec<u8> {
    [PURPOSE, named].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001).into()
    }

    #[test]
    fn a_token_names_its_session_and_number() {
        let tokens = RefreshTokens::new(&Keys::for_tests());
        for generation in [1, 2, u32::MAX] {
            let token = tokens.issue(session(), generation);
            assert_eq!(tokens.verify(&token), Some((session(), generation)));
            assert_eq!(token.len(), 70);
        }
    }

    #[test]
    fn a_changed_token_is_none() {
        let tokens = RefreshTokens::new(&Keys::for_tests());
        let token = tokens.issue(session(), 1);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).expect("base64url");
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(tokens.verify(&changed), None, "byte {index}");
        }
        for length in 0..bytes.len() {
            let short = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]);
            assert_eq!(tokens.verify(&short), None, "{length} bytes");
        }
        for bad in ["", "x", &format!("{token}="), &format!("{token}AA"), &token[1..]] {
            assert_eq!(tokens.verify(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_of_another_shop_is_none() {
        let other = Keys { refresh_secret: vec![8; 32], ..Keys::for_tests() };
        let token = RefreshTokens::new(&other).issue(session(), 1);
        assert_eq!(RefreshTokens::new(&Keys::for_tests()).verify(&token), None);
    }
}
