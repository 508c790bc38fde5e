//! Secrets that we make up ourselves.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Random bytes of an invented password: 144 bits, 24 characters.
const PASSWORD_BYTES: usize = 18;

/// A password that nobody can guess.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn invent_password() -> anyhow::Result<String> {
    let mut bytes = [0; PASSWORD_BYTES];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the operating system gives no random numbers"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
