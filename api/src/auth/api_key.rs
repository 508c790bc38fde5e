//! Keys of programs, as they go over the wire: whose, which, and a secret of 256 bits.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::{ApiKeyHash, ApiKeyId, UserId};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use uuid::Uuid;

/// What every key begins with: people, and scanners of what was published by mistake, know it by that.
pub const PREFIX: &str = "gmk_";

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// A key with its secret.
pub struct ApiKeySecret {
    /// Whose it is.
    pub user_id: UserId,
    /// Which of theirs.
    pub key_id: ApiKeyId,
    secret: [u8; SECRET_BYTES],
}

impl ApiKeySecret {
    /// A fresh secret for a key.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate(
        user_id: UserId,
        key_id: ApiKeyId,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut secret = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut secret)?;
        Ok(Self { user_id, key_id, secret })
    }

    /// The key in a text; none for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (user_id, rest) = bytes.split_at_checked(ID_BYTES)?;
        let (key_id, secret) = rest.split_at_checked(ID_BYTES)?;
        Some(Self {
            user_id: Uuid::from_slice(user_id).ok()?.into(),
            key_id: Uuid::from_slice(key_id).ok()?.into(),
            secret: secret.try_into().ok()?,
        })
    }

    /// What is shown once: 90 characters.
    #[must_use]
    pub fn text(&self) -> String {
        let ids = [self.user_id.uuid(), self.key_id.uuid()].map(Uuid::into_bytes).concat();
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode([&ids[..], &self.secret].concat()))
    }

    /// What is kept. The secret has more randomness than anybody can guess through, so that a fast hash
    /// does.
    #[must_use]
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash::parse(hex(&Sha256::digest(self.secret))).expect("a digest has 64 digits")
    }
}

/// In lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _memory_never_fails = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_nothing_else_is_one() {
        let ids = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = ApiKeySecret::generate(ids.0.into(), ids.1.into()).expect("random numbers");
        let text = key.text();
        assert_eq!(text.len(), 90);
        let read = ApiKeySecret::parse(&text).expect("a key");
        assert_eq!((read.user_id, read.key_id, read.hash()), (key.user_id, key.key_id, key.hash()));
        let other = ApiKeySecret::generate(ids.0.into(), ids.1.into()).expect("random numbers");
        assert_ne!(other.hash(), key.hash());
        for bad in ["", "gmk_", &text[4..], &text[..89], &format!("{text}A"), &format!("{text}=")] {
            assert!(ApiKeySecret::parse(bad).is_none(), "{bad}");
        }
    }
}
