//! Serving HTTP: connections, their bounds and their end.
//!
//! **Guarantee.** A client that is slow, silent or gone holds a connection for a bounded time, one of the places
//! of its address (`places.rs`), and a bounded number of bytes (`budget.rs`, `heads.rs`, `answer.rs`); who finds all places
//! taken can still ask whether the process lives. When the process stops, every request that has begun is
//! answered, for at most [`DRAIN`].

mod answer;
mod budget;
mod heads;
mod listen;
mod patient;
mod places;

pub(crate) use budget::{Held, Share};
pub use listen::{BindError, bind};
pub use places::raise_file_limit;

use crate::guard::{PROBE_PATHS, Peer, TrustedProxies};
use crate::http::Problem;
use answer::{Activity, Answer, Requests};
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{Request as HttpRequest, Response as HttpResponse};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use heads::Heads;
use hyper::body::Incoming;
use hyper::service::Service as HttpService;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use patient::Patient;
use places::{Place, Places};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt, service_fn};

/// How long running requests may take to finish when the process stops. The process contract gives
/// five seconds for everything.
pub const DRAIN: Duration = Duration::from_secs(4);

/// How long a request's head may take to arrive, which is also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may last that has no place but the lobby: who floods it must not keep a probe out.
const LOBBY_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause after the operating system refused a connection, so that the log is not flooded.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most headers of a request, and how much they may hold together.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// What a connection buffers of what it reads, and of what it writes: a whole head fits.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// The most requests that one HTTP/2 connection carries at once, and how much of their bodies may wait to be
/// read, of each and together.
const MAX_STREAMS: u32 = 128;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// How often a silent HTTP/2 connection is asked whether it still lives, and how long it has to
/// answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How often is looked whether an HTTP/2 connection is idle, or does not take an answer.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Serves until `stop` is cancelled and then until every running request is answered, for at most
/// [`DRAIN`]. The clients of `proxies` are many people.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    proxies: TrustedProxies,
    stop: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    serve_in(Places::new(proxies), listener, service, stop).await;
}

async fn serve_in<S>(
    places: Arc<Places>,
    listener: TcpListener,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    while let Some((stream, peer, any)) = next(&listener, &places, &stop).await {
        let Some(place) = places.for_address(any, peer.ip().to_canonical()) else { continue };
        let (service, stop, cut_off) = (service.clone(), stop.clone(), cut_off.clone());
        connections.spawn(async move {
            if place.is_lobby {
                lobby(stream, peer, &place, service, stop).await;
            } else {
                connection(stream, peer, &place, service, stop, cut_off).await;
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(
            connections.open = connections.len(),
            "requests were cut off while stopping"
        );
        cut_off.cancel();
        connections.wait().await;
    }
}

/// The next connection, with a place; none when it is time to stop.
async fn next(
    listener: &TcpListener,
    places: &Places,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = stop.run_until_cancelled(places.any()).await??;
    loop {
        match stop.run_until_cancelled(listener.accept()).await? {
            Ok((stream, peer)) => return Some((stream, peer, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S>(
    stream: TcpStream,
    peer: SocketAddr,
    place: &Place,
    service: S,
    stop: CancellationToken,
    cut_off: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Small answers must not wait for an acknowledgement; if it cannot be set they are just slower.
    let _ = stream.set_nodelay(true);
    let greeted = tokio::time::timeout(HEAD_TIMEOUT, Patient::greet(stream));
    // Silent, or gone.
    let Some(Ok(Ok((stream, speaks_http2)))) = stop.run_until_cancelled(greeted).await else {
        return;
    };
    let requests = speaks_http2.then(Requests::new);
    let heads = Heads::new(&place.heads, speaks_http2);
    let stream = stream.counted(&heads);
    let service = counted(service, peer, Arc::clone(&place.share), heads, requests.clone());
    let builder = builder(speaks_http2);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut is_draining = false;
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            // An error here is the client's: it went away or does not speak HTTP.
            _ = connection.as_mut() => return,
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut_off.cancelled() => return,
            _ = looks.tick(), if requests.is_some() => {
                match requests.as_ref().map(|requests| requests.activity()) {
                    Some(Activity::Idle(time)) if time >= HEAD_TIMEOUT && !is_draining => {
                        is_draining = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    // It was told to go, or does not take what it asked for.
                    Some(Activity::Idle(time)) if time >= HEAD_TIMEOUT + LOOK_INTERVAL => return,
                    Some(Activity::Stalled) => return,
                    Some(Activity::Idle(_) | Activity::Busy) | None => {}
                }
            }
        }
    }
}

/// A connection without a place: it may ask whether the process lives.
async fn lobby<S>(
    stream: TcpStream,
    peer: SocketAddr,
    place: &Place,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let probed = async {
        let Ok((stream, _)) = Patient::greet(stream).await else { return };
        let heads = Heads::new(&place.heads, false);
        let stream = stream.counted(&heads);
        let service = service_fn(move |request: Request| {
            let answer = PROBE_PATHS
                .contains(&request.uri().path())
                .then(|| service.clone().oneshot(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => Ok(Problem::overloaded().into_response()),
                }
            }
        });
        let mut builder = builder(false);
        builder.http1().keep_alive(false);
        let service = counted(service, peer, Arc::clone(&place.share), heads, None);
        // It has had its answer, or gone away.
        let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
    };
    let _late_or_not = stop.run_until_cancelled(tokio::time::timeout(LOBBY_TIMEOUT, probed)).await;
}

/// Tells the service where requests come from, and counts what they hold.
fn counted<S>(
    service: S,
    peer: SocketAddr,
    share: Arc<Share>,
    heads: Arc<Heads>,
    requests: Option<Arc<Requests>>,
) -> impl HttpService<
    HttpRequest<Incoming>,
    Response = HttpResponse<Answer>,
    Error = Infallible,
    Future: Send + 'static,
>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    hyper::service::service_fn(move |request: HttpRequest<Incoming>| {
        let at_work = requests.as_ref().map(Requests::begin);
        let begun = heads.begin(&request);
        let share = Arc::clone(&share);
        let mut request: Request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(Peer(peer));
        extensions.insert(Arc::clone(&share));
        service.clone().oneshot(request).map(move |answer| {
            let Ok(answer) = answer;
            let (mut parts, body) = answer.into_parts();
            let body = Answer::new(body, &share, at_work).unwrap_or_else(|at_work| {
                let (instead, body) = Problem::overloaded().into_response().into_parts();
                parts.status = instead.status;
                parts.headers.remove(CONTENT_LENGTH);
                parts.headers.extend(instead.headers);
                Answer::uncounted(body, at_work)
            });
            if begun.is_last() {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(HttpResponse::from_parts(parts, body))
        })
    })
}

fn builder(speaks_http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if speaks_http2 { builder.http2_only() } else { builder.http1_only() }
}

#[cfg(test)]
mod tests;
