//! Passwords: which are accepted, how they are hashed, and how many at a time.

use crate::application::Failure;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The shortest password by default, in characters.
pub const DEFAULT_PASSWORD_MIN_CHARS: usize = 8;

/// The longest password, in characters: enough for any phrase, too little to make hashing dear.
pub const PASSWORD_MAX_CHARS: usize = 128;

/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane. About 25 ms on one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a request waits for a core to hash on before it is told to come back. With one hash in
/// 25 ms this is a queue of some 80 per core.
const WAIT_FOR_CORE: Duration = Duration::from_secs(2);

/// Lower case, one a line, all of at least [`DEFAULT_PASSWORD_MIN_CHARS`] characters.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Hashes and checks passwords, on as many cores at once as there are and no more: each hash takes
/// 19 MiB, and everything else must go on.
pub struct Passwords {
    cores: Arc<Semaphore>,
    min_chars: usize,
    /// A hash that no password has, checked where there is no user, so that the time an answer
    /// takes does not tell whether there is one.
    nobody: Arc<str>,
}

/// A hash could not be made or read.
#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::password_hash::Error),
    #[error("hashing was interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Passwords {
    /// Accepts passwords of at least `min_chars` characters, hashes `cores` at once.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn new(
        min_chars: usize,
        cores: usize,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut password = [0; 32];
        aws_lc_rs::rand::fill(&mut password)?;
        let nobody = hash(&password).map_err(HashError::from)?.into();
        Ok(Self { cores: Arc::new(Semaphore::new(cores.max(1))), min_chars, nobody })
    }

    /// Accepts a new password, or says what is wrong with it, which was given as `field`.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with the code `weak_password`.
    pub fn check_strength(&self, password: &str, field: &'static str) -> Result<(), Failure> {
        let (min, max) = (self.min_chars, PASSWORD_MAX_CHARS);
        let message = match password.chars().count() {
            length if length < min => format!("a password has at least {min} characters"),
            length if length > max => format!("a password has at most {max} characters"),
            _ if COMMON.contains(password.to_lowercase().as_str()) => {
                "this password is among the first that anybody would try".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Failure::Invalid { field, code: "weak_password", message })
    }

    /// The password's hash, in PHC form.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when too many wait already.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        self.on_a_core(move || hash(password.as_bytes())).await
    }

    /// Whether `password` is the one that `stored` is the hash of. Without a stored hash it never
    /// is, and it takes as long to say so.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when too many wait already; [`Failure::Internal`] when `stored` is no hash.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Failure> {
        let nobody = Arc::clone(&self.nobody);
        self.on_a_core(move || {
            let stored = stored.as_deref().unwrap_or(&nobody);
            let parsed = PasswordHash::new(stored)?;
            match argon2()?.verify_password(password.as_bytes(), &parsed) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let waiting = Arc::clone(&self.cores).acquire_owned();
        let Ok(Ok(core)) = tokio::time::timeout(WAIT_FOR_CORE, waiting).await else {
            return Err(Failure::Overloaded);
        };
        // The core is given back when the hash is done, also when nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(core);
            result
        });
        let result = done.await.map_err(HashError::from);
        result.and_then(|result| result.map_err(HashError::from)).map_err(Failure::internal)
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2()?.hash_password(password)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(cores: usize) -> Passwords {
        Passwords::new(DEFAULT_PASSWORD_MIN_CHARS, cores).expect("random numbers")
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = passwords(2);
        let hash = passwords.hash("correct horse".into()).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = passwords.hash("correct horse".into()).await.expect("a hash");
        assert_ne!(hash, again, "every hash has its own salt");
        let fits = async |password: &str, hash: Option<&str>| {
            passwords.verify(password.into(), hash.map(Into::into)).await.expect("a verdict")
        };
        assert!(fits("correct horse", Some(&hash)).await);
        assert!(!fits("Correct horse", Some(&hash)).await);
        assert!(!fits("correct horse", None).await);
        assert!(!fits("", None).await);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_fault_of_ours() {
        let failure = passwords(1).verify("x".into(), Some("not a hash".into())).await;
        assert!(matches!(failure, Err(Failure::Internal(_))), "{failure:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_finds_every_core_busy_is_told_to_come_back() {
        let passwords = passwords(1);
        let busy = Arc::clone(&passwords.cores).acquire_owned().await.expect("a free core");
        let failure = passwords.hash("correct horse".into()).await.expect_err("no core");
        assert!(matches!(failure, Failure::Overloaded), "{failure:?}");
        drop(busy);
        assert!(passwords.hash("correct horse".into()).await.is_ok());
    }

    #[test]
    fn a_weak_password_is_refused_with_what_is_wrong() {
        let passwords = passwords(1);
        for weak in
            ["", "short", "1234567", &"x".repeat(129), "password", "PASSWORD1", "qwertyuiop"]
        {
            let failure = passwords.check_strength(weak, "password").expect_err(weak);
            assert!(
                matches!(failure, Failure::Invalid { code: "weak_password", .. }),
                "{weak}: {failure:?}"
            );
        }
        for strong in ["ein Satz", "πßäöü漢字e", &"ä".repeat(128), "correct horse battery"]
        {
            assert!(passwords.check_strength(strong, "password").is_ok(), "{strong}");
        }
    }

    #[test]
    fn the_list_of_common_passwords_is_well_kept() {
        assert!(COMMON.len() >= 300, "{}", COMMON.len());
        let lines: Vec<_> = include_str!("common_passwords.txt").lines().collect();
        assert!(lines.is_sorted(), "sorted, so that a change shows as one line");
        assert_eq!(lines.len(), COMMON.len(), "no line twice");
        for line in lines {
            assert!(
                line.chars().count() >= DEFAULT_PASSWORD_MIN_CHARS,
                "{line} is too short anyway"
            );
            assert_eq!(line, line.to_lowercase());
        }
    }
}
