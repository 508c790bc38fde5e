use super::Policy;
use super::selectors::normalized;
use crate::Timestamp;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Banned networks by their bits: an address is looked up once for every length of prefix that
/// occurs, not once for every ban.
#[derive(Debug, Default)]
pub(super) struct AddressBans {
    /// Until when each network is banned; for ever if absent.
    networks: HashMap<IpNet, Option<Timestamp>>,
    /// The prefix lengths that occur.
    prefix_lengths: BTreeSet<u8>,
}

impl AddressBans {
    pub(super) fn new(policy: &Policy) -> Self {
        let mut bans = Self::default();
        for ban in policy.bans.values() {
            let network = normalized(ban.cidr);
            bans.prefix_lengths.insert(network.prefix_len());
            // Of two bans of the same network the one that lasts longer counts.
            bans.networks
                .entry(network)
                .and_modify(|until| *until = until.zip(ban.until).map(|(a, b)| a.max(b)))
                .or_insert(ban.until);
        }
        bans
    }

    pub(super) fn is_banned(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = address.to_canonical();
        self.prefix_lengths
            .iter()
            // A prefix that is longer than the address is an error here, and none of its own.
            .filter_map(|length| IpNet::new(address, *length).ok())
            .filter_map(|network| self.networks.get(&network.trunc()))
            .any(|until| until.is_none_or(|until| now < until))
    }
}
