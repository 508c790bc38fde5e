//! The edge: what every request passes before a route sees it, and every answer afterwards.
//!
//! From the outside in: the request gets its identity, its log line and its metrics
//! ([`crate::telemetry`]); a panic becomes a 500; the [`guard`](crate::guard) decides; a time-out
//! watches over the route.

use crate::auth::AccessTokens;
use crate::guard::{AccessCache, LivePolicy, TrustedProxies, guard};
use crate::http::Problem;
use crate::key_uses::KeyUses;
use crate::limits::Limits;
use crate::security::SecurityLog;
use crate::telemetry::{Metrics, note_route, observe};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use commands::bus::World;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tower::{Layer, Service};

/// How long a route may take to begin its answer. The slowest of ours waits ten seconds for a
/// payment provider.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for one that only reads: nobody but the database is asked, and who waits longer waits for a connection
/// that has died.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What the edge of one process needs.
pub struct Edge {
    /// The clock and the source of ids.
    pub world: World,
    /// Checks access tokens.
    pub tokens: Arc<AccessTokens>,
    /// Users and sessions.
    pub access: Arc<AccessCache>,
    /// The permission rules in force.
    pub policy: Arc<LivePolicy>,
    /// When keys of programs were used.
    pub key_uses: Arc<KeyUses>,
    /// The limits; none with `GOMALL_LIMITS=off`.
    pub limits: Option<Limits>,
    /// The proxies that are believed.
    pub trusted_proxies: TrustedProxies,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who was refused.
    pub security: Arc<SecurityLog>,
}

/// Puts the edge around a router: the whole service, ready to be served.
pub fn wrap(
    edge: Arc<Edge>,
    router: Router,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let routed = router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn(note_route));
    let timed = from_fn(time_out).layer(routed);
    let guarded = from_fn_with_state(Arc::clone(&edge), guard).layer(timed);
    from_fn_with_state(edge, observe).layer(guarded)
}

async fn time_out(request: Request, next: Next) -> Response {
    let patience = if request.method().is_safe() { READ_TIMEOUT } else { REQUEST_TIMEOUT };
    tokio::time::timeout(patience, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::timed_out().into_response())
}

#[cfg(test)]
#[path = "edge_tests/mod.rs"]
mod tests;
