//! What lies at the root: probes, metrics and the documentation of the API.

use super::resource::{Access, GET, public};
use crate::http::{Json, Path, Problem};
use crate::openapi;
use crate::openapi::schema::answers;
use crate::openapi::takes::routes;
use crate::readiness::{Phase, Readiness};
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
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

/// What these routes show.
pub struct Root {
    /// Whether the process wants requests.
    pub readiness: Arc<Readiness>,
    /// Which features do not work at the moment, in stable words.
    pub degraded: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether everybody who reaches this address may see what is counted.
    pub shows_metrics: bool,
}

/// What a new shop lets everybody see of the root.
pub(super) const ACCESS: Access = Access {
    rules: &[],
    public_paths: &[
        public(2, GET, "/(healthz|readyz|metrics)"),
        public(3, GET, r"/(openapi|asyncapi)\.json"),
        public(4, GET, "/docs(/.*)?"),
    ],
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
    let document = openapi::document().to_json().expect("the document is plain data");
    let document: Arc<str> = document.into();
    let (described, _) = routes().split_for_parts();
    described
        .with_state(root)
        .route("/openapi.json", get(openapi_json).layer(Extension(document)))
        .route("/docs", get(async || Html(DOCS_PAGE)))
        .route("/docs/{file}", get(docs_file))
}

/// A process that serves.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    /// `ok`, or `degraded` when something does not work although the shop does.
    status: &'static str,
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
            let status = if degraded.is_empty() { "ok" } else { "degraded" };
            Ok(Json(Ready { status, degraded }))
        }
    }
}

/// What is counted, in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
              (status = 404, description = "They are served elsewhere (`--metrics`).")))]
async fn metrics(State(root): State<Arc<Root>>) -> Result<Response, Problem> {
    if !root.shows_metrics {
        return Err(Problem::not_found());
    }
    let text = root.metrics.render().map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response())
}

async fn openapi_json(Extension(document): Extension<Arc<str>>) -> Response {
    let document = document.to_string();
    ([(CONTENT_TYPE, crate::http::JSON_UTF8)], document).into_response()
}

async fn docs_file(Path(file): Path<String>) -> Result<Response, Problem> {
    let config = Arc::new(Config::from("/openapi.json"));
    let found = utoipa_swagger_ui::serve(&file, config)
        .map_err(|error| Problem::internal(&*error))?
        .ok_or_else(Problem::not_found)?;
    // The files belong to this build; a day is short enough to see the next one.
    let kept = (CACHE_CONTROL, "public, max-age=86400".to_owned());
    Ok(([(CONTENT_TYPE, found.content_type), kept], found.bytes.into_owned()).into_response())
}

#[cfg(test)]
mod tests;
