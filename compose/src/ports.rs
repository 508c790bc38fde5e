//! Free ports for private servers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up). A port
/// that the kernel hands out for "any" lies inside that range: while its server is down, a client
/// that keeps reconnecting can be given that very port, connect to itself, and keep the server
/// from coming back. Tests stop servers and start them again on the same port.
const RANGE: Range<u16> = 20_000..32_000;
const TRIES: u16 = 500;

/// How often a server is started anew because another process was faster to take its port.
pub(crate) const LOST_RACES: u32 = 5;

/// A port on loopback that nobody listens on; `preferred` if it is such a one. Somebody else can
/// take it before it is used: the caller has to notice and ask again.
pub(crate) fn free(preferred: Option<u16>) -> io::Result<u16> {
    let random = RandomState::new().build_hasher().finish();
    let size = RANGE.end - RANGE.start;
    let first = u16::try_from(random % u64::from(size)).expect("the range's size is a u16");
    let others = (0..TRIES).map(|step| RANGE.start + (first + step) % size);
    preferred
        .into_iter()
        .chain(others)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrInUse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_given_out() {
        let port = free(None).expect("500 ports in a row are not all taken");
        assert!(RANGE.contains(&port));
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let other = free(Some(port)).expect("500 ports in a row are not all taken");
        assert!(taken.is_err() || other != port);
        drop(taken);
    }
}
