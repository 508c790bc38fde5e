//! How many requests an address and a user may send.
//!
//! governor counts (GCRA, one atomic per key); keys are kept in a bounded cache that forgets idle
//! ones, because a limiter that remembers every address ever seen is a way to fill the memory.
//! Each process counts for itself: behind n replicas a client gets up to n times as much.

use crate::http::{Problem, RequestPath};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The most keys that one limit remembers (about 200 bytes each). Under a flood from more of them
/// the longest idle are forgotten, which gives those a fresh start and nobody a disadvantage.
const MAX_KEYS: u64 = 100_000;

/// An idle key is forgotten after this. Every bucket below is full again long before.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// The paths that are limited more tightly, because each call costs a password hash.
const AUTH_PREFIX: &str = "/api/v1/auth/";

/// `RateLimit-Policy`: what the limits are (draft-ietf-httpapi-ratelimit-headers).
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `RateLimit`: what is left of them.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A steady rate and a burst above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How long it takes until one more request may be sent; never zero.
    period: Duration,
    /// Requests that may come at once after a pause.
    burst: NonZeroU32,
}

impl Rate {
    /// `per_second` requests steadily, `burst` at once.
    #[must_use]
    pub fn per_second(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { period: Duration::from_secs(1) / per_second.get(), burst }
    }

    /// Seconds in which `requests` come back, rounded up.
    fn seconds_for(self, requests: u32) -> u64 {
        // The period was rounded down; rounding the sum to milliseconds makes up for it.
        let millis = (self.period * requests).as_nanos().div_ceil(1_000_000);
        u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// `<per second>/<burst>`, as in `300/600`.
impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (per_second, burst) = text.split_once('/').ok_or(InvalidRate)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidRate);
        Ok(Self::per_second(number(per_second)?, number(burst)?))
    }
}

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected requests per second and burst, such as 300/600")]
pub struct InvalidRate;

/// All limits of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one address (IPv6: one /64, which is what one customer has).
    pub address: Rate,
    /// Of one user, wherever he comes from.
    pub user: Rate,
    /// Of one address on the paths under `/api/v1/auth/`, beside the first.
    pub auth: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |text: &str| text.parse().expect("the defaults are rates");
        Self { address: rate("300/600"), user: rate("100/200"), auth: rate("10/50") }
    }
}

/// The limits in force in this process.
pub struct Limits {
    address: Limit<IpAddr>,
    user: Limit<UserId>,
    auth: Limit<IpAddr>,
}

impl Limits {
    /// Nobody has used anything yet.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            address: Limit::new("address", rates.address),
            user: Limit::new("user", rates.user),
            auth: Limit::new("auth", rates.auth),
        }
    }
}

/// What one request has taken, for its answer's headers.
pub(crate) struct Allowance<'a> {
    limits: Option<&'a Limits>,
    taken: Vec<Taken>,
}

impl<'a> Allowance<'a> {
    /// Nothing taken yet; without limits nothing ever is.
    pub(crate) fn new(limits: Option<&'a Limits>) -> Self {
        Self { limits, taken: Vec::new() }
    }

    /// One request of `address` to `path`.
    pub(crate) fn take_for_address(
        &mut self,
        address: IpAddr,
        path: &RequestPath,
    ) -> Result<(), Problem> {
        let Some(limits) = self.limits else { return Ok(()) };
        let key = network(address);
        self.note(limits.address.take(&key))?;
        if path.as_str().starts_with(AUTH_PREFIX) {
            self.note(limits.auth.take(&key))?;
        }
        Ok(())
    }

    /// One request of `user`.
    pub(crate) fn take_for_user(&mut self, user: UserId) -> Result<(), Problem> {
        let Some(limits) = self.limits else { return Ok(()) };
        self.note(limits.user.take(&user))
    }

    fn note(&mut self, taken: Taken) -> Result<(), Problem> {
        let wait = taken.refused.then_some(taken.reset_seconds);
        self.taken.push(taken);
        wait.map_or(Ok(()), |seconds| Err(Problem::rate_limited(seconds)))
    }

    /// Says what the limits are and what is left of them.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let list = |item: fn(&Taken) -> String| {
            let items: Vec<_> = self.taken.iter().map(item).collect();
            HeaderValue::try_from(items.join(", ")).expect("names and digits are visible ASCII")
        };
        if !self.taken.is_empty() {
            headers.insert(RATELIMIT_POLICY, list(Taken::policy));
            headers.insert(RATELIMIT, list(Taken::remainder));
        }
    }
}

/// The outcome of taking one request from one bucket.
struct Taken {
    name: &'static str,
    rate: Rate,
    refused: bool,
    remaining: u32,
    /// Seconds until the next request may pass (refused), or until the bucket is full.
    reset_seconds: u64,
}

impl Taken {
    fn policy(&self) -> String {
        let Rate { burst, .. } = self.rate;
        format!("\"{}\";q={};w={}", self.name, burst, self.rate.seconds_for(burst.get()))
    }

    fn remainder(&self) -> String {
        format!("\"{}\";r={};t={}", self.name, self.remaining, self.reset_seconds)
    }
}

struct Limit<K: Clone + Hash + Eq + Send + Sync + 'static> {
    name: &'static str,
    rate: Rate,
    limiter: RateLimiter<K, Cells<K>, DefaultClock, StateInformationMiddleware>,
}

impl<K: Clone + Hash + Eq + Send + Sync + 'static> Limit<K> {
    fn new(name: &'static str, rate: Rate) -> Self {
        let quota = Quota::with_period(rate.period).expect("a period is never zero");
        let quota = quota.allow_burst(rate.burst);
        let limiter = RateLimiter::new(quota, Cells::new(), DefaultClock::default());
        Self { name, rate, limiter }
    }

    fn take(&self, key: &K) -> Taken {
        let (name, rate) = (self.name, self.rate);
        match self.limiter.check_key(key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = rate.burst.get().saturating_sub(remaining);
                let reset_seconds = rate.seconds_for(missing);
                Taken { name, rate, refused: false, remaining, reset_seconds }
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                // Rounded up: who comes back when told must not be refused again.
                let reset_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let reset_seconds = reset_seconds.max(1);
                Taken { name, rate, refused: true, remaining: 0, reset_seconds }
            }
        }
    }
}

/// One atomic cell per key.
struct Cells<K: Hash + Eq + Send + Sync + 'static>(Cache<K, Arc<InMemoryState>>);

impl<K: Hash + Eq + Send + Sync + 'static> Cells<K> {
    fn new() -> Self {
        let cache = Cache::builder().max_capacity(MAX_KEYS).time_to_idle(FORGET_AFTER);
        // The default policy may turn a new key away, which would leave it unlimited.
        Self(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl<K: Clone + Hash + Eq + Send + Sync + 'static> StateStore for Cells<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let cell = self.0.get_with_by_ref(key, Arc::default);
        cell.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// What is counted as one address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
impl Rate {
    /// One request an hour comes back, so that no test depends on how long it takes.
    pub(crate) fn hourly(burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).expect("a burst is positive");
        Self { period: Duration::from_secs(3600), burst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn limits(address: u32, user: u32, auth: u32) -> Limits {
        let (address, user, auth) = (Rate::hourly(address), Rate::hourly(user), Rate::hourly(auth));
        Limits::new(Rates { address, user, auth })
    }

    fn take(limits: &Limits, address: &str, path: &str) -> (Result<(), Problem>, HeaderMap) {
        let mut allowance = Allowance::new(Some(limits));
        let path = RequestPath::parse(path).expect("a canonical path");
        let outcome = allowance.take_for_address(address.parse().expect("an address"), &path);
        let mut headers = HeaderMap::new();
        allowance.write_headers(&mut headers);
        (outcome, headers)
    }

    #[test]
    fn an_address_gets_its_burst_and_then_a_429_that_says_when() {
        let limits = limits(2, 9, 9);
        let (first, headers) = take(&limits, "192.0.2.1", "/a");
        assert!(first.is_ok());
        assert_eq!(headers[RATELIMIT_POLICY], "\"address\";q=2;w=7200");
        assert_eq!(headers[RATELIMIT], "\"address\";r=1;t=3600");
        assert!(take(&limits, "192.0.2.1", "/a").0.is_ok());
        let (third, headers) = take(&limits, "192.0.2.1", "/a");
        let problem = third.expect_err("two was the burst");
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "rate_limited"));
        assert_eq!(headers[RATELIMIT], "\"address\";r=0;t=3600");
        assert!(take(&limits, "192.0.2.2", "/a").0.is_ok(), "another address");
    }

    #[test]
    fn signing_in_is_limited_more_tightly_beside_the_rest() {
        let limits = limits(9, 9, 1);
        let (first, headers) = take(&limits, "192.0.2.1", "/api/v1/auth/login");
        assert!(first.is_ok());
        assert_eq!(headers[RATELIMIT_POLICY], "\"address\";q=9;w=32400, \"auth\";q=1;w=3600");
        assert_eq!(headers[RATELIMIT], "\"address\";r=8;t=3600, \"auth\";r=0;t=3600");
        assert!(take(&limits, "192.0.2.1", "/api/v1/auth/register").0.is_err());
        assert!(take(&limits, "192.0.2.1", "/api/v1/products").0.is_ok());
    }

    #[test]
    fn a_user_is_limited_wherever_he_comes_from() {
        let limits = limits(9, 1, 9);
        let take = |user| Allowance::new(Some(&limits)).take_for_user(Uuid::from_u128(user).into());
        assert!(take(1).is_ok());
        assert_eq!(take(1).expect_err("one was the burst").code(), "rate_limited");
        assert!(take(2).is_ok());
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let limits = limits(1, 9, 9);
        assert!(take(&limits, "2001:db8:0:1::1", "/a").0.is_ok());
        assert!(take(&limits, "2001:db8:0:1:ffff::2", "/a").0.is_err());
        assert!(take(&limits, "2001:db8:0:2::1", "/a").0.is_ok());
    }

    #[test]
    fn without_limits_nothing_is_counted_and_nothing_said() {
        let mut allowance = Allowance::new(None);
        let path = RequestPath::parse("/a").expect("a canonical path");
        for _ in 0..10_000 {
            assert!(allowance.take_for_address(Ipv6Addr::LOCALHOST.into(), &path).is_ok());
        }
        let mut headers = HeaderMap::new();
        allowance.write_headers(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let rate = |text: &str| text.parse::<Rate>().expect("a rate");
        let Rates { address, user, auth } = Rates::default();
        assert_eq!((address, user, auth), (rate("300/600"), rate("100/200"), rate("10/50")));
        let window = |rate: Rate| rate.seconds_for(rate.burst.get());
        assert_eq!((window(address), window(user), window(auth)), (2, 2, 5));
        for bad in ["", "300", "0/1", "1/0", "-1/1", "1/1/1", "a/b"] {
            assert_eq!(bad.parse::<Rate>(), Err(InvalidRate), "{bad}");
        }
    }
}
