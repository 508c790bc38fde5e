//! Taking an address to listen on.

use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

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
