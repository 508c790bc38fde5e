//! Where a request comes from.

use crate::http::Problem;
use crate::openapi::takes::Takes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The longest chain of proxies that is followed.
const MAX_HOPS: usize = 32;

/// The other end of the connection, put into every request by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(
    /// Its address and port.
    pub SocketAddr,
);

impl Peer {
    /// The peer of a request; a request that came without a connection has none, and all such
    /// requests count as one client.
    pub(super) fn of(extensions: &Extensions) -> IpAddr {
        extensions.get().map_or(Ipv4Addr::UNSPECIFIED.into(), |Self(peer)| peer.ip().to_canonical())
    }
}

/// Where a request comes from, as far as the connection says: behind a proxy on this machine that is nothing.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    peer: IpAddr,
    is_forwarded: bool,
}

impl Origin {
    /// Whether it was sent by a program on this machine, for itself.
    #[must_use]
    pub fn is_this_machine(self) -> bool {
        self.peer.is_loopback() && !self.is_forwarded
    }
}

impl Takes for Origin {}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        /// What proxies add; one of them is enough.
        const FORWARDED: [&str; 6] = [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
        ];
        let is_forwarded = FORWARDED.iter().any(|name| parts.headers.contains_key(*name));
        Ok(Self { peer: Peer::of(&parts.extensions), is_forwarded })
    }
}

/// The proxies whose `X-Forwarded-For` is believed; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The client behind the proxies: the header is read from its end, where our own proxy wrote,
    /// up to the first address that is not one of ours. Whatever a client wrote before that, it
    /// could have made up, and nobody looks at it, whatever bytes it has. `Forwarded` is not read.
    ///
    /// # Errors
    /// 400 when what one of our own proxies wrote is no address: nobody knows then who is banned or limited.
    pub(super) fn client_address(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<IpAddr, Problem> {
        let mut client = peer;
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        let mut hops =
            hops.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')).enumerate();
        while self.trusts(client) {
            let Some((number, hop)) = hops.next() else { break };
            let text = std::str::from_utf8(hop.trim_ascii()).ok().filter(|_| number < MAX_HOPS);
            client = text.and_then(address).ok_or_else(Problem::unreadable_forwarded_for)?;
        }
        Ok(client)
    }

    /// Whether the address is one of ours.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Some proxies write the port as well.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || IpAddr::from_str(text.trim_start_matches('[').trim_end_matches(']')).ok();
    let with_port = || SocketAddr::from_str(text).ok().map(|address| address.ip());
    bare().or_else(with_port).map(|address| address.to_canonical())
}

/// A comma-separated list of networks and addresses, as in `10.0.0.0/8, 192.0.2.7`.
impl FromStr for TrustedProxies {
    type Err = InvalidProxies;

    fn from_str(text: &str) -> Result<Self, InvalidProxies> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                IpNet::from_str(part)
                    .or_else(|_| IpAddr::from_str(part).map(IpNet::from))
                    .map_err(|_| InvalidProxies(part.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A part of the list is neither a network nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected networks such as 10.0.0.0/8, separated by commas, not {0:?}")]
pub struct InvalidProxies(String);

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("no control characters");
            headers.append("x-forwarded-for", value);
        }
        let proxies: TrustedProxies = proxies.parse().expect("a list of networks");
        let peer: IpAddr = peer.parse().expect("an address");
        match proxies.client_address(peer, &headers) {
            Ok(address) => address.to_string(),
            Err(problem) => problem.code().to_owned(),
        }
    }

    #[test]
    fn a_stranger_cannot_say_who_he_is() {
        assert_eq!(client("", "192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_says_who_the_client_is() {
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["192.0.2.1", "10.0.0.2"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client("::1,10.0.0.1", "::1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_before_the_proxy_does_not_count() {
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["1.1.1.1, 192.0.2.1"]), "192.0.2.1");
        // A byte that is no text, before and behind what our proxy wrote.
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["\u{e9}, 192.0.2.1"]), "192.0.2.1");
        for unreadable in
            ["192.0.2.1, unknown", "192.0.2.1, ", "192.0.2.1\u{e9}", "192.0.2.1, _hidden"]
        {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[unreadable]), "malformed_forwarded_for");
            assert_eq!(client("10.0.0.0/8", "192.0.2.9", &[unreadable]), "192.0.2.9");
        }
    }

    #[test]
    fn a_wrong_list_of_proxies_is_an_error() {
        assert!("10.0.0.0/8, proxy.example".parse::<TrustedProxies>().is_err());
        let proxies: TrustedProxies = "10.0.0.0/8, 192.0.2.7".parse().expect("a list");
        assert_eq!(proxies.to_string(), "10.0.0.0/8,192.0.2.7/32");
    }
}
