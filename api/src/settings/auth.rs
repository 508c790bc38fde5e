use crate::auth::{DEFAULT_PASSWORD_MIN_CHARS, KeyPaths, PASSWORD_MAX_CHARS};
use clap::Args;
use std::path::{Path, PathBuf};

/// Who signs in, and how that is believed.
#[derive(Debug, Clone, Args)]
pub struct AuthArgs {
    /// The shortest password that people may choose, 8 to 128 characters.
    #[arg(long, env = "GOMALL_PASSWORD_MIN", default_value_t = DEFAULT_PASSWORD_MIN_CHARS, value_parser = password_min)]
    pub password_min: usize,
    /// The private key that signs access tokens (Ed25519, PKCS#8, PEM); made when absent.
    #[arg(long, env = "GOMALL_SIGNING_KEY")]
    pub signing_key: Option<PathBuf>,
    /// The key that signed before; its tokens are still accepted.
    #[arg(long, env = "GOMALL_PREVIOUS_SIGNING_KEY")]
    pub previous_signing_key: Option<PathBuf>,
    /// What authenticates refresh tokens: 32 random bytes in base64; made when absent.
    #[arg(long, env = "GOMALL_REFRESH_SECRET")]
    pub refresh_secret: Option<PathBuf>,
    /// What keys the fingerprints of requests: 32 random bytes in base64; the refresh secret when absent.
    #[arg(long, env = "GOMALL_FINGERPRINT_SECRET")]
    pub fingerprint_secret: Option<PathBuf>,
}

impl AuthArgs {
    /// Where the keys are.
    #[must_use]
    pub fn keys(&self, data_dir: &Path) -> KeyPaths {
        KeyPaths {
            directory: data_dir.join("keys"),
            signing_key: self.signing_key.clone(),
            previous_signing_key: self.previous_signing_key.clone(),
            refresh_secret: self.refresh_secret.clone(),
            fingerprint_secret: self.fingerprint_secret.clone(),
        }
    }
}

/// Fewer than the default are guessed, and more than the longest password nobody could choose.
fn password_min(text: &str) -> Result<usize, String> {
    let bounds = DEFAULT_PASSWORD_MIN_CHARS..=PASSWORD_MAX_CHARS;
    let min = text.parse().ok().filter(|min| bounds.contains(min));
    min.ok_or_else(|| format!("expected {} to {}", bounds.start(), bounds.end()))
}
