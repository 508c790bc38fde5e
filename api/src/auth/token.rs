//! Access tokens: signed statements of minutes about who is signed in, in which session. What the
//! holder may do is never in them: that is decided anew for every request.

use super::keys::{Keys, SigningKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::{SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long an access token is good for.
pub const ACCESS_TOKEN_SECONDS: i64 = 600;

/// How far the clocks of two of our machines may be apart.
const LEEWAY_SECONDS: i64 = 5;

/// The longest token that is looked at; ours have some 500 characters.
const MAX_TOKEN_CHARS: usize = 2048;

/// How many checked signatures are remembered: checking one costs more than the rest of the guard.
const MAX_CHECKED: u64 = 50_000;

/// RFC 9068: keeps tokens apart that the same key may sign for other purposes.
const TOKEN_TYPE: &str = "at+jwt";

/// Issuer and audience: the shop's own tokens are for the shop alone.
const ISSUER: &str = "gomall";

/// Whom a token speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Who is signed in.
    pub user_id: UserId,
    /// In which session.
    pub session_id: SessionId,
    /// When the token ends, in seconds since 1970.
    expires_at: i64,
    /// From when it counts.
    valid_from: i64,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    sub: UserId,
    sid: SessionId,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    exp: i64,
    iss: String,
    aud: String,
    jti: Uuid,
}

/// Why a token is not accepted, for its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It was good once.
    #[error("token has expired")]
    Expired,
    /// It is none of ours.
    #[error("token is not valid")]
    Invalid,
}

/// Issues and checks access tokens.
pub struct AccessTokens {
    header: Header,
    signing: EncodingKey,
    /// The keys whose signatures count, by their names.
    accepted: Vec<(String, DecodingKey)>,
    validation: Validation,
    /// The claims of tokens whose signature was found good, by the token's SHA-256.
    checked: Cache<[u8; 32], Claims>,
    jwks: Value,
}

impl AccessTokens {
    /// Signs with the keys' current key, accepts the previous one's tokens as well.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        let all: Vec<&SigningKey> = std::iter::once(&keys.signing).chain(&keys.previous).collect();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(keys.signing.key_id.clone());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is an argument here; the library would ask the system's clock.
        validation.validate_exp = false;
        Self {
            header,
            signing: EncodingKey::from_ed_der(&keys.signing.pkcs8),
            accepted: all
                .iter()
                .map(|key| (key.key_id.clone(), DecodingKey::from_ed_der(&key.public)))
                .collect(),
            validation,
            checked: Cache::builder().max_capacity(MAX_CHECKED).build(),
            jwks: json!({ "keys": all.iter().map(|key| jwk(key)).collect::<Vec<_>>() }),
        }
    }

    /// A token for `user_id` in `session_id`, good for [`ACCESS_TOKEN_SECONDS`] from `now`.
    ///
    /// # Errors
    /// When the key cannot sign, which loading it has ruled out.
    pub fn issue(
        &self,
        user_id: UserId,
        session_id: SessionId,
        now: Timestamp,
        token_id: Uuid,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = now.unix_seconds();
        let claims = Wire {
            sub: user_id,
            sid: session_id,
            iat,
            nbf: None,
            exp: iat + ACCESS_TOKEN_SECONDS,
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            jti: token_id,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing)
    }

    /// Whom the token speaks of, if we signed it and `now` is within its time.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, BadToken> {
        if token.len() > MAX_TOKEN_CHARS {
            return Err(BadToken::Invalid);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let claims = match self.checked.get(&digest) {
            Some(claims) => claims,
            None => {
                let claims = self.check(token).ok_or(BadToken::Invalid)?;
                self.checked.insert(digest, claims);
                claims
            }
        };
        let now = now.unix_seconds();
        if claims.valid_from > now + LEEWAY_SECONDS {
            return Err(BadToken::Invalid);
        }
        if claims.expires_at <= now - LEEWAY_SECONDS {
            return Err(BadToken::Expired);
        }
        Ok(claims)
    }

    /// The public keys as a JWK set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }

    fn check(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TOKEN_TYPE) {
            return None;
        }
        let (_, key) = self.accepted.iter().find(|(id, _)| Some(id) == header.kid.as_ref())?;
        let wire = jsonwebtoken::decode::<Wire>(token, key, &self.validation).ok()?.claims;
        // Whoever holds the key of another program of ours does not make tokens that last.
        let lasts = wire.exp.checked_sub(wire.iat)?;
        if !(0..=ACCESS_TOKEN_SECONDS).contains(&lasts) || is_extended(token) {
            return None;
        }
        Some(Claims {
            user_id: wire.sub,
            session_id: wire.sid,
            expires_at: wire.exp,
            valid_from: wire.iat.max(wire.nbf.unwrap_or(wire.iat)),
        })
    }
}

/// Whether a token has extensions that its reader must understand (RFC 7515, `crit`); we understand none.
fn is_extended(token: &str) -> bool {
    let header = token.split('.').next().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    header.is_none_or(|header| header.get("crit").is_some())
}

fn jwk(key: &SigningKey) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": key.key_id,
        "x": BASE64_URL_SAFE_NO_PAD.encode(&key.public),
    })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
