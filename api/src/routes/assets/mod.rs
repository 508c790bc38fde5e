//! The pictures of the sample catalogue, from the binary: a shop needs no folder beside it to show
//! what it sells.
//!
//! The next picture is a file in `static/image` and a line in `PICTURES`.

use crate::application::App;
use crate::http::{Path, Problem};
use crate::openapi::schema::answers;
use crate::openapi::takes::routes;
use crate::routes::resource::{Access, GET, Resource, public};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};
use utoipa_axum::router::OpenApiRouter;

/// All of them are JPEGs, however their names end.
const MEDIA_TYPE: &str = "image/jpeg";

/// The names are for ever, the pictures are not: after a day a browser asks whether its copy is
/// still right, which costs a 304.
const KEPT: &str = "public, max-age=86400";

/// This resource: its routes, and what a new shop allows of them.
pub(in crate::routes) const RESOURCE: Resource = Resource {
    routes: routes::<Arc<App>>,
    access: Access { rules: &[], public_paths: &[public(5, GET, "/static/.*")] },
};

/// The routes of this module. They need nothing of the shop, so any state will do.
pub fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    routes![picture]
}

/// The bytes of a JPEG.
#[derive(JsonSchema)]
#[schemars(extend("format" = "binary"))]
#[expect(dead_code, reason = "only its schema is used")]
struct Jpeg(String);

answers!(Jpeg);

/// The picture's file name, as a product's `picture` has it.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline, example = &"notebook.jpeg")]
struct FileName(String);

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
        [$(Picture::new($file, include_bytes!(concat!("../../../static/image/", $file)))),*]
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
    responses((status = 200, description = "The picture.", body = inline(Jpeg), content_type = "image/jpeg"),
              (status = 304, description = "`If-None-Match` names the picture as it is."),
              (status = 404, description = "There is no such picture.")))]
async fn picture(
    Path(FileName(file)): Path<FileName>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let picture = PICTURES.iter().find(|picture| picture.file == file);
    let picture = picture.ok_or_else(Problem::not_found)?;
    let kept = [(ETAG, picture.etag.clone()), (CACHE_CONTROL, HeaderValue::from_static(KEPT))];
    if picture.is_known(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(CONTENT_TYPE, MEDIA_TYPE)], picture.bytes).into_response())
}

#[cfg(test)]
mod tests;
