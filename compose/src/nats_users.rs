//! Who may do what at the broker.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What nats-server is told about its users; it takes their passwords from its environment.
pub(crate) const CONFIG: &str = include_str!("../nats/users.conf");

/// The passwords of the broker's users: letters, digits, `-` and `_`, and a letter first, so that neither
/// an address nor nats-server's configuration takes them for something else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsUsers {
    /// Of `shop`, which may do everything.
    pub shop: String,
    /// Of `analyst`, who may read the stream.
    pub analyst: String,
}

impl NatsUsers {
    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [("GOMALL_NATS_SHOP_PASSWORD", &self.shop), ("GOMALL_NATS_ANALYST_PASSWORD", &self.analyst)]
    }
}

impl fmt::Debug for NatsUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NatsUsers(…)")
    }
}
