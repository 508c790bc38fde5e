//! Passwords: which are accepted, how they are hashed, and how many at a time.
//!
//! A password is looked at, and hashed, in one form of what was typed (NFKC, as NIST SP 800-63B says): which code points a
//! keyboard sends for a letter is nothing that people know. Accounts of before have the hash of what was typed; where
//! that differs and the one form is wrong, it is tried as well, and their hash stays until they choose another password.

use crate::application::Failure;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The shortest password by default, in characters.
pub const DEFAULT_PASSWORD_MIN_CHARS: usize = 8;

/// The longest password, in characters: enough for any phrase, too little to make hashing dear.
pub const PASSWORD_MAX_CHARS: usize = 128;

/// The most characters of what was typed that are looked at: so many are composed to more than any password has.
const MOST_TYPED_CHARS: usize = 4 * PASSWORD_MAX_CHARS + 4;

/// OWASP's parameters for argon2id: 19 MiB, two passes, one lane. About 25 ms on one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a request waits for a core to hash on before it is told to come back. With one hash in
/// 25 ms this is a queue of some 80 per core.
const WAIT_FOR_CORE: Duration = Duration::from_secs(2);

/// A password that is guessed among the first so many is refused: the ten thousand that are used most, and a word of
/// those, or of its owner's, with a few digits behind it.
const FEWEST_GUESSES: u64 = 20_000;

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

    /// Accepts a new password, or says what is wrong with it, which was given as `field`. It is guessed at with what
    /// is known of its owner, who would use their own name.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with the code `weak_password`; [`Failure::Overloaded`].
    pub async fn check_strength(
        &self,
        password: &str,
        known: &[&str],
        field: &'static str,
    ) -> Result<(), Failure> {
        self.check_length(password, field)?;
        let password = &*one_form(password);
        let weak = |message: String| Failure::Invalid { field, code: "weak_password", message };
        let known: Vec<String> = known.iter().flat_map(|text| words(text)).collect();
        let tried = password.to_owned();
        let guesses = self.on_a_core(move || {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Ok(zxcvbn::zxcvbn(&tried, &known).guesses())
        });
        if guesses.await? < FEWEST_GUESSES {
            return Err(weak(
                "this password is among the first that anybody would try for you".to_owned(),
            ));
        }
        Ok(())
    }

    /// Accepts a new password's length, which costs nothing to look at.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with the code `weak_password`.
    pub fn check_length(&self, password: &str, field: &'static str) -> Result<(), Failure> {
        let (min, max) = (self.min_chars, PASSWORD_MAX_CHARS);
        let weak = |message: String| Failure::Invalid { field, code: "weak_password", message };
        match one_form(password).chars().count() {
            length if length < min => {
                Err(weak(format!("a password has at least {min} characters")))
            }
            length if length > max => Err(weak(format!("a password has at most {max} characters"))),
            _ => Ok(()),
        }
    }

    /// Whether it is longer than any password of ours.
    #[must_use]
    pub fn is_too_long(&self, password: &str) -> bool {
        one_form(password).chars().count() > PASSWORD_MAX_CHARS
    }

    /// The password's hash, in PHC form.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when too many wait already.
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        self.on_a_core(move || hash(one_form(&password).as_bytes())).await
    }

    /// Whether `password` is the one that `stored` is the hash of. Without a stored hash it never
    /// is, and it takes as long to say so. One that is too long to be anybody's is not hashed.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] when too many wait already; [`Failure::Internal`] when `stored` is no hash.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, Failure> {
        if self.is_too_long(&password) {
            return Ok(false);
        }
        let nobody = Arc::clone(&self.nobody);
        self.on_a_core(move || {
            let stored = stored.as_deref().unwrap_or(&nobody);
            let parsed = PasswordHash::new(stored)?;
            let fits =
                |password: &str| match argon2()?.verify_password(password.as_bytes(), &parsed) {
                    Ok(()) => Ok(true),
                    Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(error),
                };
            let form = one_form(&password);
            Ok(fits(&form)? || (form != password && fits(&password)?))
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

/// The form in which a password is counted, guessed at and hashed. Of what is far too long only the beginning, which is
/// too long as well: no character becomes none.
fn one_form(password: &str) -> Cow<'_, str> {
    let end = password.char_indices().nth(MOST_TYPED_CHARS).map_or(password.len(), |(end, _)| end);
    domain::compatible(&password[..end])
}

/// What somebody would make a password of: an address or a name as it is, in one word, and its words.
fn words(text: &str) -> Vec<String> {
    let text = domain::compatible(text).to_lowercase();
    let before_at = text.split('@').next().unwrap_or_default();
    let joined = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut words = vec![text.clone(), joined(&text), before_at.to_owned(), joined(before_at)];
    words.extend(text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
    words
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
    async fn a_password_is_hashed_in_one_form_and_fits_hashes_of_before() {
        let passwords = passwords(1);
        let (composed, decomposed) = ("ein passwörtchen Ⅳ", "ein passwo\u{308}rtchen IV");
        let fits = async |password: &str, hash: &str| {
            passwords.verify(password.into(), Some(hash.into())).await.expect("a verdict")
        };
        let today = passwords.hash(decomposed.into()).await.expect("a hash");
        assert!(fits(composed, &today).await && fits(decomposed, &today).await);
        let before = hash(decomposed.as_bytes()).expect("a hash");
        assert!(fits(decomposed, &before).await, "as it was typed");
        assert!(!fits(composed, &before).await, "as nobody typed it");
    }

    #[tokio::test]
    async fn a_password_is_counted_in_its_one_form() {
        let passwords = passwords(1);
        assert!(!passwords.is_too_long(&"o\u{308}".repeat(128)));
        assert!(passwords.is_too_long(&"o\u{308}".repeat(129)));
        assert!(passwords.is_too_long(&"\u{fdfa}".repeat(8)), "of eighteen letters each");
        assert!(passwords.is_too_long(&"\u{308}".repeat(100_000)));
        let short = passwords.check_strength("xo\u{308}q\u{308}u\u{308}", &[], "password").await;
        assert!(matches!(short, Err(Failure::Invalid { code: "weak_password", .. })), "{short:?}");
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

    #[tokio::test]
    async fn a_weak_password_is_refused_with_what_is_wrong() {
        let passwords = passwords(1);
        let known = ["ada.lovelace@example.com", "Ada King"];
        for weak in [
            "",
            "short",
            "1234567",
            &"x".repeat(129),
            "password",
            "PASSWORD1",
            "qwertyuiop",
            "iloveyou1",
            "ada.lovelace@example.com",
            "adalovelace",
            "Lovelace1",
            "ADAKING1",
            "aaaaaaaaaaaa",
            "12345678910",
            "ｐａｓｓｗｏｒｄ",
            "ＬＯＶＥＬＡＣＥ１",
        ] {
            let failure = passwords.check_strength(weak, &known, "password").await;
            assert!(
                matches!(failure, Err(Failure::Invalid { code: "weak_password", .. })),
                "{weak}: {failure:?}"
            );
        }
        let long = "ä".repeat(60) + &"ö+7".repeat(20);
        for strong in ["ein Satz mit Wörtern", "πßäöü漢字e", &long, "correct horse battery"]
        {
            assert!(passwords.check_strength(strong, &known, "password").await.is_ok(), "{strong}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_to_be_a_password_is_not_hashed() {
        let passwords = passwords(1);
        let _busy = Arc::clone(&passwords.cores).acquire_owned().await.expect("a free core");
        let verdict = passwords.verify("x".repeat(129), None).await;
        assert!(matches!(verdict, Ok(false)), "it needs no core: {verdict:?}");
    }
}
