//! What lies at the root: a page for people, probes, metrics and the documentation of the API.

mod docs;
mod home;
mod probes;

use super::resource::{Defaults, GET, public};
use crate::http::Problem;
use crate::openapi::takes::routes;
use crate::readiness::Readiness;
use crate::telemetry::Metrics;
use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

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
    routes![probes::healthz, probes::readyz, probes::metrics]
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

#[cfg(test)]
mod tests;
