//! How many connections there are, in all and from one address, and a lobby for probes.

use super::budget::{Budget, Share};
use crate::guard::TrustedProxies;
use crate::limits::network;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most connections, if the process may open enough files for them.
const MAX_CONNECTIONS: u64 = 8192;

/// Files that are kept free of connections from clients: databases, brokers, logs.
const RESERVED_FILES: u64 = 256;

/// One address has at most every so-manieth place, so that it takes several to take them all.
const SHARE_OF_PLACES: usize = 4;

/// Places beside all others for who finds them taken: long enough for a probe, and to hear `overloaded`.
const LOBBY: usize = 256;

/// Lets the process open as many files as the operating system lets it at all: every connection is one, and
/// shells usually allow a thousand. As before where that is refused.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _refused_or_not = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The places of a listener.
pub(super) struct Places {
    common: Arc<Semaphore>,
    lobby: Arc<Semaphore>,
    per_address: usize,
    budget: Budget,
    heads: Budget,
    /// Whose clients are many people: they share no bound but those of all.
    proxies: TrustedProxies,
    addresses: Mutex<HashMap<IpAddr, Address>>,
}

struct Address {
    connections: usize,
    share: Arc<Share>,
    heads: Arc<Share>,
}

/// A place that somebody holds until he drops it.
pub(super) struct Place {
    places: Arc<Places>,
    /// Whose share it is of; nobody's in the lobby, nor of a proxy.
    address: Option<IpAddr>,
    /// What the connection may have in flight.
    pub(super) share: Arc<Share>,
    /// What of heads that have not ended.
    pub(super) heads: Arc<Share>,
    /// Whether it is one for a probe and no more.
    pub(super) is_lobby: bool,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// As many as the process may have files for.
    pub(super) fn new(proxies: TrustedProxies) -> Arc<Self> {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let connections = files.saturating_sub(RESERVED_FILES).clamp(16, MAX_CONNECTIONS);
        Self::of(usize::try_from(connections).unwrap_or(usize::MAX), proxies)
    }

    pub(super) fn of(connections: usize, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            common: Arc::new(Semaphore::new(connections)),
            lobby: Arc::new(Semaphore::new(LOBBY)),
            per_address: connections.div_ceil(SHARE_OF_PLACES),
            budget: Budget::in_flight(),
            heads: Budget::of_heads(),
            proxies,
            addresses: Mutex::default(),
        })
    }

    /// A place for the next connection, whosever it will be. While there is none at all, connections wait in
    /// the operating system's queue.
    pub(super) async fn any(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            place = Arc::clone(&self.common).acquire_owned() => place.ok(),
            place = Arc::clone(&self.lobby).acquire_owned() => place.ok(),
        }
    }

    /// A place for a connection from `address`, given that there is one for anybody; none when that address
    /// has its share and the lobby is full.
    pub(super) fn for_address(
        self: &Arc<Self>,
        any: OwnedSemaphorePermit,
        address: IpAddr,
    ) -> Option<Place> {
        let is_common = Arc::ptr_eq(any.semaphore(), &self.common);
        let common = if is_common {
            Ok(any)
        } else {
            Arc::clone(&self.common).try_acquire_owned().map_err(|_| any)
        };
        let address = (!self.proxies.trusts(address)).then(|| network(address));
        let lobby = match common {
            Ok(permit) => match self.share(address) {
                Some((share, heads)) => {
                    let places = Arc::clone(self);
                    return Some(Place {
                        places,
                        address,
                        share,
                        heads,
                        is_lobby: false,
                        _permit: permit,
                    });
                }
                None => Arc::clone(&self.lobby).try_acquire_owned().ok()?,
            },
            Err(lobby) => lobby,
        };
        let (places, share, heads) = (Arc::clone(self), self.budget.share(), self.heads.share());
        Some(Place { places, address: None, share, heads, is_lobby: true, _permit: lobby })
    }

    /// What a connection from an address may have in flight, together with its others; none when they are too many.
    fn share(&self, address: Option<IpAddr>) -> Option<(Arc<Share>, Arc<Share>)> {
        let Some(address) = address else {
            return Some((self.budget.unshared(), self.heads.unshared()));
        };
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = addresses.entry(address).or_insert_with(|| Address {
            connections: 0,
            share: self.budget.share(),
            heads: self.heads.share(),
        });
        if known.connections >= self.per_address {
            return None;
        }
        known.connections += 1;
        Some((Arc::clone(&known.share), Arc::clone(&known.heads)))
    }
}

#[cfg(test)]
impl Places {
    pub(super) fn held(&self) -> usize {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.values().map(|address| address.connections).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.budget.bytes() + self.heads.bytes()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut addresses = self.places.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = addresses.get_mut(&address) {
            known.connections -= 1;
            if known.connections == 0 {
                addresses.remove(&address);
            }
        }
    }
}
