//! The outermost layer: a request's identity, its log line, its metrics, and no panic beyond it.

use super::context::RequestContext;
use super::metrics::Metrics;
use crate::edge::Edge;
use crate::http::{Problem, normalized};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tracing::Instrument;

/// What a request is counted under when no route answered it.
const NO_ROUTE: &str = "none";

/// What a request is counted under when its client left before the answer (nginx's number).
const CLIENT_LEFT: u16 = 499;

/// The header in which a client learns our id of its request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The pattern of the route that answers, told from inside the router to the outermost layer.
#[derive(Clone, Default)]
struct AnsweringRoute(Arc<OnceLock<MatchedPath>>);

/// The middleware around everything.
pub(crate) async fn observe(
    State(edge): State<Arc<Edge>>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = RequestContext::new(request.headers(), (edge.world.new_id)(), new_span_id());
    let route = AnsweringRoute::default();
    let mut record = Record::new(&edge, method_label(request.method()), &route);
    let span = tracing::info_span!(
        "request",
        request.id = %context.request_id,
        trace.id = context.trace.trace_id()
    );
    let request_id = HeaderValue::try_from(context.request_id.to_string());
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(route);
    let answer = async move {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Problem::panicked().into_response());
        let mut response = normalized(answer);
        let headers = response.headers_mut();
        if let Ok(id) = request_id {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Answers depend on who asks and tell of them; what may be kept says so itself.
        headers.entry(CACHE_CONTROL).or_insert(const { HeaderValue::from_static("no-store") });
        // Nothing of ours is a page, or part of somebody's; what is one says what it needs.
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(
            const { HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'") },
        );
        record.done(response.status().as_u16());
        response
    };
    context.scope(answer).instrument(span).await
}

/// The layer inside the router, where the route is known.
pub(crate) async fn note_route(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let (Some(route), Some(pattern)) =
        (extensions.get::<AnsweringRoute>(), extensions.get::<MatchedPath>())
    {
        // Set once: a router inside a router would only repeat it.
        let _ = route.0.set(pattern.clone());
    }
    next.run(request).await
}

/// One request's log line and metrics, written when it is dropped: also when the client has left
/// and nothing else will run for it any more.
struct Record {
    metrics: Arc<Metrics>,
    method: &'static str,
    route: AnsweringRoute,
    began: Instant,
    status: u16,
}

impl Record {
    fn new(edge: &Edge, method: &'static str, route: &AnsweringRoute) -> Self {
        let metrics = Arc::clone(&edge.metrics);
        Self { metrics, method, route: route.clone(), began: Instant::now(), status: CLIENT_LEFT }
    }

    fn done(&mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let pattern = self.route.0.get().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
        let duration_ms = took.as_secs_f64() * 1000.0;
        tracing::info!(
            target: "access",
            // First, because the macro cannot tell a dotted name from its own syntax here.
            duration_ms,
            http.method = self.method,
            http.route = pattern,
            http.status = self.status,
            "request answered"
        );
        self.metrics.request_done(pattern, self.method, self.status, took);
    }
}

/// Methods that clients make up must not make up series.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Zero is the one id that a span may not have.
fn new_span_id() -> u64 {
    rand::random::<u64>() | 1
}
