//! What lies at the root: a page for people, probes, metrics and the documentation of the API.

mod docs;
mod home;

use super::resource::{Defaults, GET, public};
use crate::guard::Origin;
use crate::http::{Json, Problem};
use crate::openapi::schema::answers;
use crate::openapi::takes::routes;
use crate::readiness::{Phase, Readiness};
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

answers!(Ready);

/// What these routes show.
pub struct Root {
    /// Whether the process wants requests.
    pub readiness: Arc<Readiness>,
    /// Which features do not work at the moment, in stable words.
    pub degraded: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
    /// How far the read models are, and the journal.
    pub progress: Box<dyn Fn() -> Progress + Send + Sync>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may see what is counted.
    pub shows_metrics: ShowsMetrics,
}

/// How far the read models are, as this process saw it last.
#[derive(Debug, Default)]
pub struct Progress {
    /// The journal's last position; none while the database does not say.
    pub journal: Option<domain::Position>,
    /// Each read model's position, by its name.
    pub read_models: Vec<(&'static str, domain::Position)>,
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
        public(1, GET, "/"),
        public(2, GET, "/(healthz|readyz|metrics)"),
        public(3, GET, r"/(openapi|asyncapi)\.json"),
        public(4, GET, "/docs(/.*)?"),
    ],
    ..Defaults::NONE
};

/// The routes of the root that the document describes.
pub fn routes() -> OpenApiRouter<Arc<Root>> {
    probes().merge(routes![home::home])
}

fn probes() -> OpenApiRouter<Arc<Root>> {
    routes![healthz, readyz, metrics]
}

/// What operators ask, for an address that only they reach.
pub fn operations_router(root: Arc<Root>) -> Router {
    let (described, _) = probes().split_for_parts();
    described.with_state(root).fallback(async || Problem::not_found())
}

/// All routes of the root.
pub fn router(root: Arc<Root>) -> Router {
    let (described, _) = routes().split_for_parts();
    described
        .with_state(root)
        .route("/openapi.json", get(docs::openapi_json))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
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

impl ReadyStatus {
    fn of(degraded: &[&'static str]) -> Self {
        if degraded.is_empty() { Self::Ok } else { Self::Degraded }
    }
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
            Ok(Json(Ready { status: ReadyStatus::of(&degraded), degraded }))
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

#[cfg(test)]
mod tests;
