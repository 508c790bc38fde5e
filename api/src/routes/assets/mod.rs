//! The pictures of the sample catalogue, from the binary: a shop needs no folder beside it to show
//! what it sells.
//!
//! The next picture is a file in `static/image` and a line in `PICTURES`.

use crate::application::App;
use crate::http::{Asset, Path, Problem};
use crate::openapi::schema::answers;
use crate::openapi::takes::routes;
use crate::routes::resource::{Defaults, GET, Resource, public};
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
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
    defaults: Defaults { public_paths: &[public(5, GET, "/static/.*")], ..Defaults::NONE },
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

macro_rules! pictures {
    ($($file:literal),* $(,)?) => {
        [$(($file, Asset::new(MEDIA_TYPE, &include_bytes!(concat!("../../../static/image/", $file))[..]))),*]
    };
}

/// Every picture there is. Hashed once, at the first request.
static PICTURES: LazyLock<[(&str, Asset); 7]> = LazyLock::new(|| {
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

/// A picture of the sample catalogue.
#[utoipa::path(get, path = "/static/image/{file}", tag = "catalogue",
    responses((status = 200, description = "The picture.", body = inline(Jpeg), content_type = "image/jpeg", headers(("ETag"))),
              (status = 304, description = "`If-None-Match` names the picture as it is.", headers(("ETag"))),
              (status = 404, description = "There is no such picture.")))]
async fn picture(
    Path(FileName(file)): Path<FileName>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let picture = PICTURES.iter().find(|(name, _)| *name == file);
    let (_, picture) = picture.ok_or_else(Problem::not_found)?;
    Ok(picture.answer(&headers, KEPT))
}

#[cfg(test)]
mod tests;
