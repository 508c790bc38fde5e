//! The vault: one key a person, kept outside the journal.
//!
//! **Guarantee.** Personal data is readable exactly as long as its person's key exists. Deleting
//! the key makes every sealed value of that person, in every copy of every event and in every read
//! model, unreadable for ever.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::fill;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::{Sealed, UserId};
use moka::future::Cache;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// Keys kept in memory: the people who are shopping right now.
const KEPT_KEYS: u64 = 10_000;

/// How long a key is kept in memory, and so how long after an erasure elsewhere this process could
/// still open a value.
const KEY_LIFETIME: Duration = Duration::from_secs(5);

/// Why the vault could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The keys could not be read or written.
    #[error("the vault's keys could not be reached: {0}")]
    Unreachable(#[from] sqlx::Error),
    /// The person has no key: never registered, or erased.
    #[error("the person has no key")]
    NoKey,
    /// The cipher failed, which means a damaged key.
    #[error("the cipher failed")]
    Cipher,
}

/// Seals and opens personal data. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    keys: Cache<UserId, Arc<LessSafeKey>>,
}

impl Vault {
    /// A vault over the table `personal_keys`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let keys = Cache::builder().max_capacity(KEPT_KEYS).time_to_live(KEY_LIFETIME).build();
        Self { pool, keys }
    }

    /// Sees to it that the person has a key. One statement, so nothing is left open when the caller goes
    /// away.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn make_key(&self, person: UserId) -> Result<(), VaultError> {
        let mut key = [0; 32];
        fill(&mut key).map_err(|_| VaultError::Cipher)?;
        sqlx::query(
            "insert into personal_keys (person_id, key) values ($1, $2) on conflict do nothing",
        )
        .bind(person.uuid())
        .bind(key.as_slice())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Seals a value with the person's key.
    ///
    /// # Errors
    /// [`VaultError`]; [`VaultError::NoKey`] when there is no such person any more.
    pub async fn seal<T: Serialize>(
        &self,
        person: UserId,
        value: &T,
    ) -> Result<Sealed<T>, VaultError> {
        let key = self.key(person).await?.ok_or(VaultError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce).map_err(|_| VaultError::Cipher)?;
        let mut text = serde_json::to_vec(value).map_err(|_| VaultError::Cipher)?;
        // The person is authenticated with the text: a value moved to somebody else stays shut.
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(person.uuid().as_bytes()),
            &mut text,
        )
        .map_err(|_| VaultError::Cipher)?;
        let mut ciphertext = nonce.to_vec();
        ciphertext.append(&mut text);
        Ok(Sealed::from_ciphertext(STANDARD_NO_PAD.encode(ciphertext)))
    }

    /// Opens a value of the person's; none when the key is gone or the value is not theirs.
    ///
    /// # Errors
    /// [`VaultError::Unreachable`].
    pub async fn open<T: DeserializeOwned>(
        &self,
        person: UserId,
        sealed: &Sealed<T>,
    ) -> Result<Option<T>, VaultError> {
        let Some(key) = self.key(person).await? else { return Ok(None) };
        Ok(open_with(&key, person, sealed.ciphertext()))
    }

    /// The same of a value that there may not be.
    ///
    /// # Errors
    /// [`VaultError::Unreachable`].
    pub async fn open_optional<T: DeserializeOwned>(
        &self,
        person: UserId,
        sealed: Option<&Sealed<T>>,
    ) -> Result<Option<T>, VaultError> {
        match sealed {
            Some(sealed) => self.open(person, sealed).await,
            None => Ok(None),
        }
    }

    /// Whether the person has a key, and so has not been erased.
    ///
    /// # Errors
    /// [`VaultError::Unreachable`].
    pub async fn knows(&self, person: UserId) -> Result<bool, VaultError> {
        Ok(self.key(person).await?.is_some())
    }

    async fn key(&self, person: UserId) -> Result<Option<Arc<LessSafeKey>>, VaultError> {
        if let Some(key) = self.keys.get(&person).await {
            return Ok(Some(key));
        }
        let key: Option<Vec<u8>> =
            sqlx::query_scalar("select key from personal_keys where person_id = $1")
                .bind(person.uuid())
                .fetch_optional(&self.pool)
                .await?;
        // That there is no key is not remembered: it may be made the next moment.
        let Some(key) = key else { return Ok(None) };
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| VaultError::Cipher)?;
        let key = Arc::new(LessSafeKey::new(key));
        self.keys.insert(person, Arc::clone(&key)).await;
        Ok(Some(key))
    }
}

fn open_with<T: DeserializeOwned>(
    key: &LessSafeKey,
    person: UserId,
    ciphertext: &str,
) -> Option<T> {
    let mut bytes = STANDARD_NO_PAD.decode(ciphertext).ok()?;
    let text = bytes.get(..NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(text).ok()?;
    let text = key
        .open_within(nonce, Aad::from(person.uuid().as_bytes()), &mut bytes, NONCE_LEN..)
        .ok()?;
    serde_json::from_slice(text).ok()
}
