use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use std::time::Duration;

/// The longest pause between two tries to reach a server that is away: catching up starts within
/// this time of its return.
const LONGEST_RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// The first pause after the immediate try.
const FIRST_RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How often a silent server is asked for a sign of life: after two that it owes us the connection counts
/// as dead.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a server may take to take a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take to answer a request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// NATS cannot be used as configured. A server that is merely away is no error.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a comma-separated list of addresses such as `nats://host:4222`.
    #[error("the address of NATS cannot be read: {0}")]
    Address(#[source] std::io::Error),
    /// The client could not be set up.
    #[error("NATS cannot be used: {0}")]
    Client(#[source] async_nats::ConnectError),
}

/// Whether [`connect`] can read these addresses: whoever takes them from an operator says so at once.
///
/// # Errors
/// [`ConnectError::Address`], whose text may hold parts of an address.
pub fn check_addresses(addresses: &str) -> Result<(), ConnectError> {
    servers(addresses).map(drop)
}

fn servers(addresses: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let servers = addresses.split(',').map(|address| address.trim().parse());
    servers.collect::<Result<_, _>>().map_err(ConnectError::Address)
}

/// A client of one server or of a cluster (addresses separated by commas), known there as `name`, with the
/// user and password of the first address that has them (`nats://user:password@host:4222`).
///
/// Returns at once, also when no server can be reached: the client keeps trying for ever, with
/// bounded pauses, and everything in this crate waits for it.
///
/// # Errors
/// [`ConnectError`] when the addresses cannot be read.
pub async fn connect(addresses: &str, name: &str) -> Result<Client, ConnectError> {
    let servers = servers(addresses)?;
    // async-nats itself takes no notice of the credentials in an address.
    let credentials =
        servers.iter().find_map(|server| Some((server.username()?, server.password()?)));
    let options = match credentials {
        Some((user, password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        None => ConnectOptions::new(),
    };
    options
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_PATIENCE)
        .request_timeout(Some(REQUEST_PATIENCE))
        .reconnect_delay_callback(|tries| match tries {
            0 | 1 => Duration::ZERO,
            _ => follow::backoff::pause_after(
                tries as u64 - 1,
                FIRST_RECONNECT_PAUSE,
                LONGEST_RECONNECT_PAUSE,
            ),
        })
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("connected to NATS"),
                Event::Disconnected => tracing::warn!("NATS is away; trying to reach it again"),
                // Repeated while a server is away, and said above already.
                Event::ClientError(error) => tracing::debug!(%error, "NATS cannot be reached"),
                other => tracing::warn!(event = %other, "NATS reports"),
            }
        })
        .connect(servers)
        .await
        .map_err(ConnectError::Client)
}
