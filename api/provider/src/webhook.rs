//! Signed notifications, after the specification of Standard Webhooks.

use crate::wire::{NotificationBody, PaymentState};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use commands::payments::ProviderAnswer;
use domain::PaymentId;
use http::HeaderMap;
use std::fmt;
use std::str::FromStr;
use time::{Duration, OffsetDateTime};

/// How far the sender's clock and ours may differ, and so how long a captured message can be
/// played again.
pub const TOLERANCE: Duration = Duration::minutes(5);

/// The header with the event's id.
pub const HEADER_ID: &str = "webhook-id";
/// The header with the time of sending, in seconds.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// The one type of notification there is.
pub const PAYMENT_UPDATED: &str = "payment.updated";

/// A sender that rotates its secret signs with a few of them; more would only cost us hashing.
const MAX_SIGNATURES: usize = 8;

/// As long as any other id or key that we keep.
const MAX_ID_CHARS: usize = 255;

/// Longer keys add nothing to HMAC-SHA-256.
/// The shortest secret, as Standard Webhooks has it: a shorter one can be guessed.
const MIN_SECRET_BYTES: usize = 24;

const MAX_SECRET_BYTES: usize = 256;

/// Base64 with or without its padding: both are in use for secrets.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the two ends of a webhook share. Never shown, not by `Debug` either.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

/// The text is not a webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a webhook secret: {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in Base64, with or without whsec_"
)]
pub struct InvalidSecret;

impl FromStr for WebhookSecret {
    type Err = InvalidSecret;

    /// Reads Base64, with the prefix `whsec_` or without.
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        let bytes = BASE64.decode(encoded).map_err(|_| InvalidSecret)?;
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(redacted)")
    }
}

/// What a provider told us on its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The sender's id of this notification (header `webhook-id`), the same in every redelivery;
    /// at most 255 visible ASCII characters.
    pub event_id: String,
    /// The payment that changed.
    pub payment_id: PaymentId,
    /// Where it stood then; it may have moved on. `NoAnswer` when that was not understood.
    pub answer: ProviderAnswer,
}

/// Why a notification is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// One of the three headers is absent or not readable.
    #[error("expected the headers webhook-id, webhook-timestamp and webhook-signature")]
    Headers,
    /// Signed more than [`TOLERANCE`] before or after now.
    #[error("the timestamp is too far from now")]
    Timestamp,
    /// No signature was made with our secret over this id, timestamp and body.
    #[error("no signature matches")]
    Mismatch,
    /// The signature is right, but the body is not a notification that we know.
    #[error("the signature is right, the body is not a known notification")]
    Body,
}

/// Checks a notification against the [Standard Webhooks](https://www.standardwebhooks.com) headers
/// and reads it. `raw_body` is the body byte for byte as it came.
///
/// The same notification may come again, and notifications may overtake each other.
///
/// # Errors
/// [`InvalidSignature`]. Only `Body` was really sent by the holder of the secret.
pub fn verify(
    secret: &WebhookSecret,
    headers: &HeaderMap,
    raw_body: &[u8],
    now: OffsetDateTime,
) -> Result<Notification, InvalidSignature> {
    let header = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or(InvalidSignature::Headers)
    };
    let (id, timestamp) = (header(HEADER_ID)?, header(HEADER_TIMESTAMP)?);
    let signatures = header(HEADER_SIGNATURE)?;
    if !(1..=MAX_ID_CHARS).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidSignature::Headers);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| InvalidSignature::Headers)?;
    let signed_at =
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| InvalidSignature::Timestamp)?;
    if (now - signed_at).abs() > TOLERANCE {
        return Err(InvalidSignature::Timestamp);
    }
    let signed = signed_content(id, timestamp, raw_body);
    let matches = signatures.split(' ').take(MAX_SIGNATURES).any(|signature| {
        let tag = signature.strip_prefix("v1,").and_then(|encoded| BASE64.decode(encoded).ok());
        // The comparison takes the same time wherever the first difference is.
        tag.is_some_and(|tag| hmac::verify(&secret.0, &signed, &tag).is_ok())
    });
    if !matches {
        return Err(InvalidSignature::Mismatch);
    }
    let body: NotificationBody =
        serde_json::from_slice(raw_body).map_err(|_| InvalidSignature::Body)?;
    if body.kind != PAYMENT_UPDATED {
        return Err(InvalidSignature::Body);
    }
    let NotificationBody { payment_id, state, .. } = body;
    Ok(Notification { event_id: id.to_owned(), payment_id, answer: PaymentState::answer(state) })
}

/// The value of `webhook-signature` for a message.
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&secret.0, &signed_content(id, timestamp, body));
    format!("v1,{}", BASE64.encode(tag))
}

fn signed_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests;
