//! The pictures of the sample catalogue, from the binary: a shop needs no folder beside it to show
//! what it sells.
//!
//! The next picture is a file in `static/image` and a line in `PICTURES`.

use crate::http::{Path, Problem};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All of them are JPEGs, however their names end.
const MEDIA_TYPE: &str = "image/jpeg";

/// The names are for ever, the pictures are not: after a day a browser asks whether its copy is
/// still right, which costs a 304.
const KEPT: &str = "public, max-age=86400";

/// The routes of this module. They need nothing of the shop, so any state will do.
pub fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(picture))
}

/// The bytes of a JPEG.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Jpeg(String);

/// A picture as it is served.
struct Picture {
    file: &'static str,
    bytes: &'static [u8],
    /// A strong tag, quotes included: a hash of the bytes, so that replicas of one build agree and
    /// a new build with the same picture keeps what browsers have.
    etag: HeaderValue,
}

macro_rules! pictures {
    ($($file:literal),* $(,)?) => {
        [$(Picture::new($file, include_bytes!(concat!("../../static/image/", $file)))),*]
    };
}

/// Every picture there is. Hashed once, at the first request.
static PICTURES: LazyLock<[Picture; 7]> = LazyLock::new(|| {
    pictures![
        "notebook.jpeg",
        "mouse-pad.jpeg",
        "t-shirt.jpeg",
        "t-shirt-1.jpeg",
        "sweatshirt.jpeg",
        "t-shirt-2.jpeg",
        "logo.jpg",
    ]
});

impl Picture {
    fn new(file: &'static str, bytes: &'static [u8]) -> Self {
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)));
        let etag = HeaderValue::try_from(tag).expect("base64 and quotes are visible ASCII");
        Self { file, bytes, etag }
    }

    /// Whether the caller has this picture already. The comparison is the weak one, as RFC 9110
    /// wants it here: a proxy that compresses weakens the tag of an unchanged picture.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || self.etag == tag.strip_prefix("W/").unwrap_or(tag))
    }
}

/// A picture of the sample catalogue.
#[utoipa::path(get, path = "/static/image/{file}", tag = "catalogue",
    params(("file" = String, Path, description = "As a product's `picture` names it.")),
    responses((status = 200, description = "The picture.", body = inline(Jpeg), content_type = "image/jpeg"),
              (status = 304, description = "`If-None-Match` names the picture as it is."),
              (status = 404, description = "There is no such picture.")))]
async fn picture(Path(file): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let picture = PICTURES.iter().find(|picture| picture.file == file);
    let picture = picture.ok_or_else(Problem::not_found)?;
    let kept = [(ETAG, picture.etag.clone()), (CACHE_CONTROL, HeaderValue::from_static(KEPT))];
    if picture.is_known(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(CONTENT_TYPE, MEDIA_TYPE)], picture.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::PROBLEM_JSON;
    use axum::body::{Body, Bytes, to_bytes};
    use axum::http::Request;
    use std::collections::BTreeSet;
    use tower::ServiceExt;

    /// The most that a picture may weigh: seven of them are one page of the shop.
    const MAX_PICTURE_BYTES: usize = 40_000;

    async fn get(file: &str, if_none_match: &[&str]) -> (u16, HeaderMap, Bytes) {
        let request = Request::get(format!("/static/image/{file}"));
        let request = if_none_match
            .iter()
            .fold(request, |request, tags| request.header(IF_NONE_MATCH, *tags))
            .body(Body::empty())
            .expect("a request");
        let (router, _) = routes::<()>().split_for_parts();
        let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.expect("a body in memory");
        (parts.status.as_u16(), parts.headers, bytes)
    }

    /// The pictures that the sample catalogue names, read from its source: the table is private.
    fn seeded() -> BTreeSet<&'static str> {
        let literals = include_str!("../seed.rs").split('"');
        literals.filter(|text| text.ends_with(".jpeg") || text.ends_with(".jpg")).collect()
    }

    #[tokio::test]
    async fn every_picture_of_the_sample_catalogue_is_served() {
        let seeded = seeded();
        assert_eq!(seeded.len(), 7, "{seeded:?}");
        let mut tags = BTreeSet::new();
        for file in seeded {
            let (status, headers, bytes) = get(file, &[]).await;
            assert_eq!(status, 200, "{file}");
            assert_eq!(headers[CONTENT_TYPE], "image/jpeg", "{file}");
            assert_eq!(headers[CACHE_CONTROL], "public, max-age=86400", "{file}");
            assert!(bytes.starts_with(&[0xff, 0xd8, 0xff]), "{file} is no JPEG");
            assert!(bytes.len() <= MAX_PICTURE_BYTES, "{file} has {} bytes", bytes.len());
            assert!(tags.insert(headers[ETAG].clone().as_bytes().to_vec()), "{file}: a tag twice");
        }
    }

    #[tokio::test]
    async fn who_has_the_picture_is_told_so_without_a_body() {
        let (_, headers, _) = get("logo.jpg", &[]).await;
        let etag = headers[ETAG].to_str().expect("visible ASCII").to_owned();
        let (weak, listed) = (format!("W/{etag}"), format!("\"other\", {etag}"));
        for known in [&[etag.as_str()][..], &[&weak], &[&listed], &["\"other\"", &etag], &["*"]] {
            let (status, headers, bytes) = get("logo.jpg", known).await;
            assert_eq!((status, bytes.len()), (304, 0), "{known:?}");
            assert_eq!(headers[ETAG], etag.as_str(), "{known:?}");
            assert_eq!(headers[CACHE_CONTROL], KEPT, "{known:?}");
        }
        for other in [&["\"other\""][..], &[etag.trim_matches('"')], &[""]] {
            assert_eq!(get("logo.jpg", other).await.0, 200, "{other:?}");
        }
        assert_eq!(get("notebook.jpeg", &[&etag]).await.0, 200, "the tag of another picture");
    }

    #[tokio::test]
    async fn an_unknown_picture_is_a_404_problem_which_nobody_keeps() {
        for file in ["nothing.jpeg", "LOGO.jpg", "logo", "..%2fseed.rs", "logo.jpg%00"] {
            let (status, headers, body) = get(file, &["*"]).await;
            assert_eq!(status, 404, "{file}");
            assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON, "{file}");
            assert!(!headers.contains_key(ETAG) && !headers.contains_key(CACHE_CONTROL), "{file}");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["code"], "not_found", "{file}");
        }
    }
}
