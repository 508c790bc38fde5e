//! Where the keys come from: files of the operator, or files of our own made at the first start.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use commands::bus::FingerprintKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where keys are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPaths {
    /// The folder for the keys that have no path of their own; made, with the keys, when missing.
    pub directory: PathBuf,
    /// An Ed25519 private key (PKCS#8, PEM) that signs access tokens.
    pub signing_key: Option<PathBuf>,
    /// The key that signed before: its tokens are still accepted, none is signed with it.
    pub previous_signing_key: Option<PathBuf>,
    /// At least 32 random bytes that authenticate refresh tokens, in base64.
    pub refresh_secret: Option<PathBuf>,
    /// At least 32 random bytes that key the fingerprints of requests, in base64; without a file
    /// the refresh secret does, which all processes share already: one that each of them made for
    /// itself would tell clients that they had used their keys for something else.
    pub fingerprint_secret: Option<PathBuf>,
}

/// The keys of a shop. All processes of one shop must hold the same.
pub struct Keys {
    pub(super) signing: SigningKey,
    pub(super) previous: Option<SigningKey>,
    pub(super) refresh_secret: Vec<u8>,
    pub(super) fingerprint_secret: Option<Vec<u8>>,
}

/// An Ed25519 key pair under its name.
pub(super) struct SigningKey {
    /// The JWK thumbprint (RFC 7638): every process gives a key the same name.
    pub(super) key_id: String,
    pub(super) pkcs8: Vec<u8>,
    pub(super) public: Vec<u8>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error("{path}: {reason}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        reason: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: expected {expected}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// The operating system gave no random numbers.
    #[error("no key could be generated")]
    Generate,
}

/// The fewest bytes of a refresh secret: the output of the hash that it keys.
const MIN_SECRET_BYTES: usize = 32;

const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";

impl Keys {
    /// Reads all keys, and makes those that are to be in the folder and are not there yet. Two
    /// processes that start at once come to the same keys.
    ///
    /// # Errors
    /// [`KeyError`] when a named file is missing or holds no key, or the folder cannot be written.
    pub fn load(paths: &KeyPaths) -> Result<Self, KeyError> {
        let signing = match &paths.signing_key {
            Some(path) => read_key(path)?,
            None => {
                let path = in_folder(&paths.directory, "access-token-key.pem")?;
                ensure(&path, new_key_pem)?;
                read_key(&path)?
            }
        };
        let previous = paths.previous_signing_key.as_deref().map(read_key).transpose()?;
        let refresh_secret = match &paths.refresh_secret {
            Some(path) => read_secret(path)?,
            None => {
                let path = in_folder(&paths.directory, "refresh-token-secret")?;
                ensure(&path, new_secret)?;
                read_secret(&path)?
            }
        };
        let fingerprint_secret =
            paths.fingerprint_secret.as_deref().map(read_secret).transpose()?;
        Ok(Self { signing, previous, refresh_secret, fingerprint_secret })
    }

    /// What the fingerprints of requests are made with.
    #[must_use]
    pub fn fingerprints(&self) -> FingerprintKey {
        FingerprintKey::new(self.fingerprint_secret.as_ref().unwrap_or(&self.refresh_secret))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, …)", self.signing.key_id)
    }
}

impl SigningKey {
    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        // OpenSSL writes version 1 of the format, which does not hold the public key.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let x = BASE64_URL_SAFE_NO_PAD.encode(&public);
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Some(Self { key_id: BASE64_URL_SAFE_NO_PAD.encode(thumbprint), pkcs8, public })
    }
}

fn read_key(path: &Path) -> Result<SigningKey, KeyError> {
    let text = read_private(path)?;
    let pkcs8 = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| {
        let lines = rest.strip_suffix(PEM_FOOT)?;
        BASE64_STANDARD.decode(lines.split_whitespace().collect::<String>()).ok()
    });
    pkcs8.and_then(SigningKey::from_pkcs8).ok_or_else(|| KeyError::Content {
        path: path.to_owned(),
        expected: "an Ed25519 private key in PEM (openssl genpkey -algorithm ed25519)",
    })
}

fn read_secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    let text = read_private(path)?;
    let secret = BASE64_STANDARD.decode(text.split_whitespace().collect::<String>()).ok();
    secret.filter(|secret| secret.len() >= MIN_SECRET_BYTES).ok_or_else(|| KeyError::Content {
        path: path.to_owned(),
        expected: "at least 32 random bytes in base64 (openssl rand -base64 32)",
    })
}

fn read_private(path: &Path) -> Result<String, KeyError> {
    let mode = fs::metadata(path).map_err(|reason| file_error(path, reason))?.permissions().mode();
    // A warning only: some orchestrators mount secrets readable for a group.
    if mode & 0o077 != 0 {
        tracing::warn!(key.path = %path.display(), "a private key can be read by other users");
    }
    fs::read_to_string(path).map_err(|reason| file_error(path, reason))
}

fn in_folder(folder: &Path, name: &str) -> Result<PathBuf, KeyError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|reason| file_error(folder, reason))?;
    Ok(folder.join(name))
}

/// Writes `content` to `path` unless there is a file: under another name first and linked then, so
/// that nobody ever reads half a key and of two writers one wins.
fn ensure(path: &Path, content: fn() -> Option<String>) -> Result<(), KeyError> {
    if path.exists() {
        return Ok(());
    }
    let content = content().ok_or(KeyError::Generate)?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let written =
        write_private(&draft, &content).and_then(|()| match fs::hard_link(&draft, path) {
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    // The draft has served; if it cannot be removed, what matters is what happened before.
    let _ = fs::remove_file(&draft);
    written.map_err(|reason| file_error(path, reason))
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

fn new_key_pem() -> Option<String> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).ok()?;
    Some(format!("{PEM_HEAD}\n{}\n{PEM_FOOT}\n", BASE64_STANDARD.encode(pkcs8)))
}

fn new_secret() -> Option<String> {
    let mut secret = [0; MIN_SECRET_BYTES];
    SystemRandom::new().fill(&mut secret).ok()?;
    Some(BASE64_STANDARD.encode(secret) + "\n")
}

fn file_error(path: &Path, reason: io::Error) -> KeyError {
    KeyError::File { path: path.to_owned(), reason }
}

#[cfg(test)]
impl Keys {
    /// Fresh keys that are kept nowhere.
    pub(crate) fn for_tests() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("random numbers");
        let signing = SigningKey::from_pkcs8(pkcs8.as_ref().to_vec()).expect("a key");
        let refresh_secret = vec![7; MIN_SECRET_BYTES];
        Self { signing, previous: None, refresh_secret, fingerprint_secret: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commands::bus::RequestKey;

    /// A folder that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
            Self(std::env::temp_dir().join(format!("gomall-keys-{name}")))
        }

        fn paths(&self) -> KeyPaths {
            KeyPaths {
                directory: self.0.join("keys"),
                signing_key: None,
                previous_signing_key: None,
                refresh_secret: None,
                fingerprint_secret: None,
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn keys_are_made_once_and_readable_for_their_owner_only() {
        let folder = Folder::new();
        let first = Keys::load(&folder.paths()).expect("keys are made");
        let second = Keys::load(&folder.paths()).expect("keys are read");
        assert_eq!(first.signing.pkcs8, second.signing.pkcs8);
        assert_eq!(first.refresh_secret, second.refresh_secret);
        let files: Vec<_> = fs::read_dir(folder.0.join("keys")).expect("a folder").collect();
        assert_eq!(files.len(), 2, "no draft stays behind");
        for file in files {
            let mode = file.and_then(|file| file.metadata()).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn two_processes_that_start_at_once_come_to_the_same_keys() {
        let folder = Folder::new();
        let path = in_folder(&folder.0, "key.pem").expect("a folder");
        fs::write(&path, new_key_pem().expect("a key")).expect("the other process wrote");
        let theirs = read_key(&path).expect("their key").key_id;
        ensure(&path, || unreachable!("there is a key")).expect("theirs is taken");
        assert_eq!(read_key(&path).expect("their key").key_id, theirs);
    }

    #[test]
    fn a_named_file_must_be_there_and_hold_a_key() {
        let folder = Folder::new();
        let missing = KeyPaths { signing_key: Some(folder.0.join("no.pem")), ..folder.paths() };
        assert!(matches!(Keys::load(&missing), Err(KeyError::File { .. })));
        let path = in_folder(&folder.0, "bad.pem").expect("a folder");
        for bad in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            fs::write(&path, bad).expect("a writable folder");
            let paths = KeyPaths { signing_key: Some(path.clone()), ..folder.paths() };
            assert!(matches!(Keys::load(&paths), Err(KeyError::Content { .. })), "{bad}");
        }
        fs::write(&path, "c2hvcnQ=").expect("a writable folder");
        let paths = KeyPaths { refresh_secret: Some(path), ..folder.paths() };
        assert!(matches!(Keys::load(&paths), Err(KeyError::Content { .. })));
    }

    #[test]
    fn fingerprints_are_the_same_in_every_process_and_differ_from_shop_to_shop() {
        let (folder, other) = (Folder::new(), Folder::new());
        let request = RequestKey { key: uuid::Uuid::from_u128(1), fingerprint: [2; 32] };
        let of = |paths: &KeyPaths| Keys::load(paths).expect("keys").fingerprints().of(&request);
        let shared = of(&folder.paths());
        assert_eq!(of(&folder.paths()), shared);
        assert_ne!(of(&other.paths()), shared);
        // Replicas that have files instead of a folder in common.
        let secret = Some(folder.paths().directory.join("refresh-token-secret"));
        let replica = KeyPaths { refresh_secret: secret.clone(), ..other.paths() };
        assert_eq!(of(&replica), shared);
        let replica = KeyPaths { fingerprint_secret: secret, ..other.paths() };
        assert_eq!(of(&replica), shared);
    }

    #[test]
    fn a_key_made_by_openssl_is_read() {
        let folder = Folder::new();
        let path = in_folder(&folder.0, "openssl.pem").expect("a folder");
        // RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        fs::write(&path, pem).expect("a writable folder");
        let key = read_key(&path).expect("a key");
        let public = BASE64_STANDARD.encode(&key.public);
        assert_eq!(public, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    }

    #[test]
    fn a_secret_never_shows() {
        let keys = Keys::for_tests();
        assert_eq!(format!("{keys:?}"), format!("Keys({}, …)", keys.signing.key_id));
    }
}
