//! Secrets that we make up ourselves.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

/// Random bytes of an invented password: 144 bits, 24 characters.
const PASSWORD_BYTES: usize = 18;

/// Random bytes of an invented secret: what its hash puts out.
const SECRET_BYTES: usize = 32;

/// A password that nobody can guess.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn invent_password() -> anyhow::Result<String> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random::<PASSWORD_BYTES>()?))
}

/// A secret for a program, in Base64.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn invent_secret() -> anyhow::Result<String> {
    Ok(BASE64_STANDARD.encode(random::<SECRET_BYTES>()?))
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the operating system gives no random numbers"))?;
    Ok(bytes)
}
