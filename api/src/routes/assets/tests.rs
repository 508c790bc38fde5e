use super::*;
use crate::http::PROBLEM_JSON;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
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
    let literals = include_str!("../../seed.rs").split('"');
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
