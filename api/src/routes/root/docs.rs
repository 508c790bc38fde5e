//! The documentation that a process carries with it: of its API, with a page to browse it, and for people who begin.

use crate::http::{Asset, JSON_UTF8, Path, Problem};
use crate::openapi;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;
use tokio::sync::OnceCell;
use utoipa_swagger_ui::Config;

/// The page that shows the document. The assets come from the binary; `/docs` itself is no folder,
/// so that they are named from the root.
const DOCS_PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>GoMall API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="stylesheet" href="/docs/index.css">
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/swagger-ui-standalone-preset.js"></script>
    <script src="/docs/swagger-initializer.js"></script>
  </body>
</html>
"#;

/// What the page may do: show itself and ask this shop. Its library writes styles into its elements.
const DOCS_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files belong to this build; a day is short enough to see the next one.
const KEPT: &str = "public, max-age=86400";

/// The document is what programs are generated from: never an old one.
const ASKED_FOR_AGAIN: &str = "public, no-cache";

/// Texts for people, as they are in the source: browsers show them.
const TEXTS: [(&str, &str); 2] = [
    ("guide.md", include_str!("../../../../README.md")),
    ("events.md", include_str!("../../../../docs/events.md")),
];

pub(super) async fn page() -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(DOCS_PAGE))
}

pub(super) async fn openapi_json(headers: HeaderMap) -> Result<Response, Problem> {
    static DOCUMENT: OnceCell<Asset> = OnceCell::const_new();
    let built = DOCUMENT.get_or_try_init(|| {
        tokio::task::spawn_blocking(|| {
            let document = openapi::document().to_json().expect("the document is plain data");
            Asset::text(HeaderValue::from_static(JSON_UTF8), document)
        })
    });
    let document = built.await.map_err(|error| Problem::internal(&error))?;
    Ok(document.answer(&headers, ASKED_FOR_AGAIN))
}

pub(super) async fn file(
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    static FILES: OnceCell<Vec<(&str, Asset)>> = OnceCell::const_new();
    let built = FILES.get_or_try_init(|| tokio::task::spawn_blocking(docs_files));
    let files = built.await.map_err(|error| Problem::internal(&error))?;
    let found = files.iter().find(|(name, _)| *name == file).ok_or_else(Problem::not_found)?;
    Ok(found.1.answer(&headers, KEPT))
}

/// What the page names, from the binary, and the texts. The first caller waits until all of it is compressed.
fn docs_files() -> Vec<(&'static str, Asset)> {
    let config = Arc::new(Config::from("/openapi.json"));
    let names = DOCS_PAGE.split('"').filter_map(|text| text.strip_prefix("/docs/"));
    let files = names.map(|name| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config));
        let file = file.ok().flatten().expect("the page names files that are there");
        let kind = HeaderValue::try_from(file.content_type).expect("a media type is a header");
        (name, Asset::text(kind, file.bytes.into_owned()))
    });
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let texts = TEXTS.map(|(name, text)| (name, Asset::text(plain.clone(), text)));
    files.chain(texts).collect()
}
