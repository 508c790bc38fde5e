//! Serving HTTP: connections, their bounds and their end.
//!
//! **Guarantee.** A client that is slow, silent or gone holds a connection for a bounded time and
//! nothing else; when the process stops, every request that has begun is answered, for at most
//! [`DRAIN`].

use crate::guard::Peer;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

/// How long running requests may take to finish when the process stops. The process contract gives
/// five seconds for everything.
pub const DRAIN: Duration = Duration::from_secs(4);

/// How long a request's head may take to arrive, which is also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The most connections, if the process may open enough files for them.
const MAX_CONNECTIONS: u64 = 8192;

/// Files that are kept free of connections from clients: databases, brokers, logs.
const RESERVED_FILES: u64 = 256;

/// Pause after the operating system refused a connection, so that the log is not flooded.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most headers of a request, and how much they may hold together (HTTP/2).
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// The most requests that one HTTP/2 connection carries at once.
const MAX_STREAMS: u32 = 128;

/// How often a silent HTTP/2 connection is asked whether it still lives, and how long it has to
/// answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What every HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "port {} is in use ({flag} {address}); choose another with {flag}, for example {flag} {}:0",
        address.port(), address.ip()
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} ({flag}): {reason}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the operating system said.
        reason: io::Error,
    },
}

/// Listens on `address`, which the user has set with `flag`.
///
/// # Errors
/// [`BindError`], which names both.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|reason| match reason.kind() {
        io::ErrorKind::AddrInUse => BindError::PortInUse { address, flag },
        _ => BindError::Other { address, flag, reason },
    })
}

/// Serves until `stop` is cancelled and then until every running request is answered, for at most
/// [`DRAIN`].
pub async fn serve<S>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(max_connections()));
    let cut_off = CancellationToken::new();
    while let Some((stream, peer, place)) = next(&listener, &places, &stop).await {
        let (service, stop, cut_off) = (service.clone(), stop.clone(), cut_off.clone());
        connections.spawn(async move {
            connection(stream, peer, service, stop, cut_off).await;
            drop(place);
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

/// As many as the process may have files for.
fn max_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = files.saturating_sub(RESERVED_FILES).clamp(16, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// The next connection with its place; none when it is time to stop. While all places are taken
/// connections wait in the operating system's queue.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = tokio::select! {
        () = stop.cancelled() => return None,
        place = Arc::clone(places).acquire_owned() => place.ok()?,
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
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
    service: S,
    stop: CancellationToken,
    cut_off: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Small answers must not wait for an acknowledgement; if it cannot be set they are just slower.
    let _ = stream.set_nodelay(true);
    let speaks_http2 = tokio::select! {
        () = stop.cancelled() => return,
        found = tokio::time::timeout(HEAD_TIMEOUT, speaks_http2(&stream)) => match found {
            Ok(Ok(found)) => found,
            // Silent, or gone.
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let service = service.map_request(move |request: axum::http::Request<_>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let builder = builder(speaks_http2);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let mut is_draining = false;
    loop {
        tokio::select! {
            // An error here is the client's: it went away or does not speak HTTP.
            _ = connection.as_mut() => return,
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut_off.cancelled() => return,
        }
    }
}

fn builder(speaks_http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if speaks_http2 { builder.http2_only() } else { builder.http1_only() }
}

/// Looks at a connection's first bytes without taking them. The library can find this out as well,
/// but waits for them without a bound.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; HTTP2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let seen = &seen[..length];
        if seen.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !HTTP2_PREFACE.starts_with(seen) {
            return Ok(false);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // A beginning of the preface is there and stays there: being readable says nothing now.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
