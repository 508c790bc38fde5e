//! Tokens of which nothing secret is stored, because they are computed: refresh tokens, and those that are
//! sent by mail.
//!
//! A token names something and numbers that belong to it, authenticated by our secret. Whether those numbers
//! are still good is the decision of what it names.

use super::keys::Keys;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

/// What a token is for: a code for one purpose says nothing for another, though one secret makes them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Goes on with a session: its id, and the number of the token within it.
    Refresh,
    /// Lets a user choose another password: their id, and the number of what was sent.
    PasswordReset,
    /// Proves a user's e-mail address: their id, and the number of what was sent.
    EmailVerification,
    /// Stands for the password while the second factor is asked for: the user's id, when it ends, in seconds
    /// since 1970, and their session epoch.
    SecondFactor,
}

impl Purpose {
    fn words(self) -> &'static [u8] {
        match self {
            Self::Refresh => b"gomall refresh token 1",
            Self::PasswordReset => b"gomall password reset 1",
            Self::EmailVerification => b"gomall email verification 1",
            Self::SecondFactor => b"gomall second factor 1",
        }
    }
}

const ID_BYTES: usize = 16;
const NUMBER_BYTES: usize = 4;

/// Issues and checks tokens with `N` numbers.
pub struct NumberedTokens<const N: usize = 1> {
    key: hmac::Key,
    purpose: Purpose,
}

impl<const N: usize> NumberedTokens<N> {
    /// Uses the keys' refresh secret.
    #[must_use]
    pub fn new(keys: &Keys, purpose: Purpose) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &keys.refresh_secret), purpose }
    }

    /// The token of `id` with these numbers, in base64url: with one number 70 characters.
    #[must_use]
    pub fn issue(&self, id: Uuid, numbers: [u32; N]) -> String {
        let mut token = id.as_bytes().to_vec();
        numbers.iter().for_each(|number| token.extend_from_slice(&number.to_be_bytes()));
        let code = hmac::sign(&self.key, &self.message(&token));
        token.extend_from_slice(code.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token of ours names, and its numbers; nothing for any other text.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<(Uuid, [u32; N])> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, code) = bytes.split_at_checked(ID_BYTES + N * NUMBER_BYTES)?;
        // Compares in constant time: how wrong a code is must not show.
        hmac::verify(&self.key, &self.message(named), code).ok()?;
        let (id, rest) = named.split_at(ID_BYTES);
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(NUMBER_BYTES)) {
            *number = u32::from_be_bytes(bytes.try_into().ok()?);
        }
        Some((Uuid::from_slice(id).ok()?, numbers))
    }

    fn message(&self, named: &[u8]) -> Vec<u8> {
        [self.purpose.words(), named].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Uuid {
        Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001)
    }

    fn refresh(keys: &Keys) -> NumberedTokens {
        NumberedTokens::new(keys, Purpose::Refresh)
    }

    #[test]
    fn a_token_names_its_session_and_number() {
        let tokens = refresh(&Keys::for_tests());
        for generation in [1, 2, u32::MAX] {
            let token = tokens.issue(session(), [generation]);
            assert_eq!(tokens.verify(&token), Some((session(), [generation])));
            assert_eq!(token.len(), 70);
        }
    }

    #[test]
    fn a_changed_token_is_none() {
        let tokens = refresh(&Keys::for_tests());
        let token = tokens.issue(session(), [1]);
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
        let token = refresh(&other).issue(session(), [1]);
        assert_eq!(refresh(&Keys::for_tests()).verify(&token), None);
    }

    #[test]
    fn a_token_for_one_purpose_is_none_for_another() {
        let keys = Keys::for_tests();
        let reset = NumberedTokens::<1>::new(&keys, Purpose::PasswordReset).issue(session(), [1]);
        for purpose in [Purpose::Refresh, Purpose::EmailVerification, Purpose::SecondFactor] {
            assert_eq!(NumberedTokens::<1>::new(&keys, purpose).verify(&reset), None);
        }
        let two = NumberedTokens::<2>::new(&keys, Purpose::SecondFactor);
        let token = two.issue(session(), [7, u32::MAX]);
        assert_eq!(two.verify(&token), Some((session(), [7, u32::MAX])));
        assert_eq!(NumberedTokens::<1>::new(&keys, Purpose::SecondFactor).verify(&token), None);
    }
}
