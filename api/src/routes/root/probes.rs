//! What operators and their programs ask.

use super::{Root, ShowsMetrics};
use crate::guard::Origin;
use crate::http::{Json, Problem};
use crate::openapi::schema::answers;
use crate::readiness::Phase;
use crate::telemetry::Metrics;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

answers!(Ready);

/// How a process serves.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadyStatus {
    /// Everything works.
    Ok,
    /// Something does not work although the shop does.
    Degraded,
}

impl ReadyStatus {
    pub(super) fn of(degraded: &[&'static str]) -> Self {
        if degraded.is_empty() { Self::Ok } else { Self::Degraded }
    }
}

/// A process that serves.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Ready {
    status: ReadyStatus,
    /// What does not work, in stable words.
    degraded: Vec<&'static str>,
}

/// Answers while the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It lives.", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether this process wants requests.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "It does.", body = Ready),
              (status = 503, description = "It is starting or stopping.")))]
pub(super) async fn readyz(State(root): State<Arc<Root>>) -> Result<Json<Ready>, Problem> {
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
pub(super) async fn metrics(
    State(root): State<Arc<Root>>,
    origin: Origin,
) -> Result<Response, Problem> {
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
