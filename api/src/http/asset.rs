//! What a build carries with it and always answers alike: a picture, a document, a page's script.

use super::accept::{ranges, weight};
use axum::body::Bytes;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;

/// An asset. However often it is answered, its bytes are in memory once.
pub struct Asset {
    content_type: HeaderValue,
    plain: Representation,
    gzip: Option<Representation>,
}

struct Representation {
    bytes: Bytes,
    /// A strong tag, quotes included: a hash of the bytes, so that replicas of one build agree and
    /// a new build with the same bytes keeps what browsers have.
    etag: HeaderValue,
}

impl Representation {
    fn new(bytes: Bytes) -> Self {
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)));
        let etag = HeaderValue::try_from(tag).expect("base64 and quotes are visible ASCII");
        Self { bytes, etag }
    }
}

impl Asset {
    /// Bytes that are compressed already, as pictures are.
    #[must_use]
    pub fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self { content_type, plain: Representation::new(bytes.into()), gzip: None }
    }

    /// A text, which is compressed here, once; that takes some milliseconds.
    #[must_use]
    pub fn text(content_type: HeaderValue, text: impl Into<Bytes>) -> Self {
        let plain = Representation::new(text.into());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(&plain.bytes).and_then(|()| encoder.finish());
        let gzip = Some(Representation::new(written.expect("memory can be written to").into()));
        Self { content_type, plain, gzip }
    }

    /// The asset as a caller wants it, or that he has it; `kept` is its `Cache-Control`.
    #[must_use]
    pub fn answer(&self, headers: &HeaderMap, kept: &'static str) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(headers));
        let chosen = gzip.unwrap_or(&self.plain);
        let kept = HeaderValue::from_static(kept);
        let mut response = if is_known(chosen, headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let kind = [(CONTENT_TYPE, self.content_type.clone())];
            (kind, chosen.bytes.clone()).into_response()
        };
        let answered = response.headers_mut();
        answered.extend([(ETAG, chosen.etag.clone()), (CACHE_CONTROL, kept)]);
        if self.gzip.is_some() {
            answered.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if gzip.is_some() {
            answered.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// The comparison is the weak one, as RFC 9110 wants it here: a proxy that compresses weakens the tag of what
/// has not changed.
fn is_known(chosen: &Representation, headers: &HeaderMap) -> bool {
    let values = headers.get_all(&IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || chosen.etag == tag.strip_prefix("W/").unwrap_or(tag))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    weight(&ranges(headers, &ACCEPT_ENCODING), &["gzip"]).is_some_and(|weight| weight > 0)
}
