//! Taking an address to listen on.

use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "port {} is in use ({address}); choose another with {setting}, for example {}:0",
        address.port(), address.ip()
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        setting: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} ({setting}): {reason}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        setting: &'static str,
        /// What the operating system said.
        reason: io::Error,
    },
}

/// Listens on `address`, which the user sets with `setting`: its flag and its variable.
///
/// # Errors
/// [`BindError`], which names both.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|reason| match reason.kind() {
        io::ErrorKind::AddrInUse => BindError::PortInUse { address, setting },
        _ => BindError::Other { address, setting, reason },
    })
}
