//! What lies at the root: probes, metrics and the documentation of the API.

use super::resource::{Defaults, GET, public};
use crate::guard::Origin;
use crate::http::{Asset, JSON_UTF8, Json, Path, Problem};
use crate::openapi;
use crate::openapi::schema::answers;
use crate::openapi::takes::routes;
use crate::readiness::{Phase, Readiness};
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::OnceCell;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

answers!(Ready);

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

/// What these routes show.
pub struct Root {
    /// Whether the process wants requests.
    pub readiness: Arc<Readiness>,
    /// Which features do not work at the moment, in stable words.
    pub degraded: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may see what is counted.
    pub shows_metrics: ShowsMetrics,
}

/// Who may see what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowsMetrics {
    /// Whoever reaches the address, which is the operator's.
    ToEverybody,
    /// Programs on this machine that ask themselves, and for nobody else.
    OnLoopback,
}

/// What a new shop lets everybody see of the root.
pub(super) const DEFAULTS: Defaults = Defaults {
    public_paths: &[
        public(2, GET, "/(healthz|readyz|metrics)"),
        public(3, GET, r"/(openapi|asyncapi)\.json"),
        public(4, GET, "/docs(/.*)?"),
    ],
    ..Defaults::NONE
};

/// The routes of the root that the document describes.
pub fn routes() -> OpenApiRouter<Arc<Root>> {
    routes![healthz, readyz, metrics]
}

/// The above alone, for an address that only the operator reaches.
pub fn operations_router(root: Arc<Root>) -> Router {
    let (described, _) = routes().split_for_parts();
    described.with_state(root).fallback(async || Problem::not_found())
}

/// All routes of the root: the above, and the document with its page.
pub fn router(root: Arc<Root>) -> Router {
    let (described, _) = routes().split_for_parts();
    described
        .with_state(root)
        .route("/openapi.json", get(openapi_json))
        .route("/docs", get(async || ([(CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(DOCS_PAGE))))
        .route("/docs/{file}", get(docs_file))
}

/// How a process serves.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ReadyStatus {
    /// Everything works.
    Ok,
    /// Something does not work although the shop does.
    Degraded,
}

/// A process that serves.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    status: ReadyStatus,
    /// What does not work, in stable words.
    degraded: Vec<&'static str>,
}

/// Answers while the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It lives.", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether this process wants requests.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "It does.", body = Ready),
              (status = 503, description = "It is starting or stopping.")))]
async fn readyz(State(root): State<Arc<Root>>) -> Result<Json<Ready>, Problem> {
    match root.readiness.phase() {
        Phase::Starting => Err(Problem::starting()),
        Phase::Draining => Err(Problem::draining()),
        Phase::Ready => {
            let degraded = (root.degraded)();
            let status = if degraded.is_empty() { ReadyStatus::Ok } else { ReadyStatus::Degraded };
            Ok(Json(Ready { status, degraded }))
        }
    }
}

/// What is counted, in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
              (status = 404, description = "They are served elsewhere (`--metrics`).")))]
async fn metrics(State(root): State<Arc<Root>>, origin: Origin) -> Result<Response, Problem> {
    let is_shown = match root.shows_metrics {
        ShowsMetrics::ToEverybody => true,
        ShowsMetrics::OnLoopback => origin.is_this_machine(),
    };
    if !is_shown {
        return Err(Problem::not_found());
    }
    let text = root.metrics.render().map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response())
}

async fn openapi_json(headers: HeaderMap) -> Result<Response, Problem> {
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

async fn docs_file(Path(file): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    static FILES: OnceCell<Vec<(&str, Asset)>> = OnceCell::const_new();
    let built = FILES.get_or_try_init(|| tokio::task::spawn_blocking(docs_files));
    let files = built.await.map_err(|error| Problem::internal(&error))?;
    let found = files.iter().find(|(name, _)| *name == file).ok_or_else(Problem::not_found)?;
    Ok(found.1.answer(&headers, KEPT))
}

/// What the page names, from the binary. The first caller waits until all of it is compressed.
fn docs_files() -> Vec<(&'static str, Asset)> {
    let config = Arc::new(Config::from("/openapi.json"));
    let names = DOCS_PAGE.split('"').filter_map(|text| text.strip_prefix("/docs/"));
    let files = names.map(|name| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config));
        let file = file.ok().flatten().expect("the page names files that are there");
        let kind = HeaderValue::try_from(file.content_type).expect("a media type is a header");
        (name, Asset::text(kind, file.bytes.into_owned()))
    });
    files.collect()
}

#[cfg(test)]
mod tests;
