use super::{MethodSelector, RoleSelector};
use crate::{InvalidValue, RoleName};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// What stands for "every" in a rule.
pub(super) const ANY: &str = "*";

/// The methods that a rule can name. HEAD is not among them: it follows GET, so that a rule about
/// HEAD alone would promise what it cannot hold.
pub(super) const METHODS: [&str; 8] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

impl TryFrom<String> for RoleSelector {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        if text == ANY {
            return Ok(Self::Any);
        }
        RoleName::parse(text).map(Self::Role).map_err(|_| {
            InvalidValue("expected '*' or a role of 1 to 64 letters, digits, '-' or '_'")
        })
    }
}

impl From<RoleSelector> for String {
    fn from(selector: RoleSelector) -> Self {
        selector.to_string()
    }
}

impl fmt::Display for RoleSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY),
            Self::Role(role) => fmt::Display::fmt(role, f),
        }
    }
}

impl TryFrom<String> for MethodSelector {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        if text == ANY {
            Ok(Self::Any)
        } else if METHODS.contains(&text.as_str()) {
            Ok(Self::Method(text))
        } else {
            Err(InvalidValue("expected '*' or an HTTP method in capitals (HEAD follows GET)"))
        }
    }
}

impl From<MethodSelector> for String {
    fn from(selector: MethodSelector) -> Self {
        selector.to_string()
    }
}

impl fmt::Display for MethodSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY),
            Self::Method(method) => f.write_str(method),
        }
    }
}

impl MethodSelector {
    /// The place of a request's method among those that rules can name, HEAD taken for GET; behind them for
    /// all others.
    pub(super) fn place(method: &str) -> usize {
        // Spelled out, because comparing with each of a list takes longer than all the rest.
        match method {
            "GET" | "HEAD" => 0,
            "POST" => 1,
            "PUT" => 2,
            "PATCH" => 3,
            "DELETE" => 4,
            "OPTIONS" => 5,
            "TRACE" => 6,
            "CONNECT" => 7,
            _ => METHODS.len(),
        }
    }

    /// Whether a request with `method` is meant. HEAD is taken for GET.
    #[must_use]
    pub fn matches(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Method(named) => named == if method == "HEAD" { "GET" } else { method },
        }
    }
}

/// Reads a network (`10.0.0.0/8`) or a single address, in the form that bans compare: without host
/// bits, and an IPv4 address that is written as an IPv6 one as what it is.
///
/// # Errors
/// [`InvalidValue`] when it is neither.
pub fn parse_network(text: &str) -> Result<IpNet, InvalidValue> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(normalized).map_err(|_| InvalidValue("expected an IP address or a network in CIDR"))
}

/// The form of a network that is compared.
pub(super) fn normalized(network: IpNet) -> IpNet {
    /// The bits of `::ffff:0:0/96`, under which IPv4 addresses are mapped into IPv6.
    const MAPPED_BITS: u8 = 96;
    let canonical = network.network().to_canonical();
    let bits = network.prefix_len();
    match (network, canonical) {
        (IpNet::V6(_), IpAddr::V4(_)) if bits >= MAPPED_BITS => {
            IpNet::new(canonical, bits - MAPPED_BITS).unwrap_or(network)
        }
        _ => network.trunc(),
    }
}
