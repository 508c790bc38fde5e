//! The permission rules in force in this process.

use super::recent::RecentDecisions;
use crate::http::Problem;
use arc_swap::ArcSwap;
use domain::policy::CompiledPolicy;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a request waits for the rules that it asks for; after that the client should come
/// back, perhaps to another replica.
const WAIT: Duration = Duration::from_secs(1);

/// How long the rules in force are believed to be the newest when nobody could confirm it: as long as
/// what is remembered of users and sessions.
const BELIEVED_FOR: Duration = Duration::from_secs(30);

/// The compiled policy, replaced as a whole whenever it changes. Reading it costs no lock.
pub struct LivePolicy {
    current: ArcSwap<CompiledPolicy>,
    version: watch::Sender<u64>,
    since: Instant,
    /// Milliseconds after `since` at which no newer policy existed.
    confirmed_ms: AtomicU64,
    recent: RecentDecisions,
}

impl LivePolicy {
    /// Starts with `policy`, which may be one of version 0: a policy without any event, which
    /// means that it has not been read yet.
    #[must_use]
    pub fn new(policy: CompiledPolicy) -> Self {
        let version = watch::Sender::new(policy.version());
        let current = ArcSwap::from_pointee(policy);
        let recent = RecentDecisions::default();
        Self { current, version, since: Instant::now(), confirmed_ms: AtomicU64::new(0), recent }
    }

    /// Says that the journal held no newer policy than the one in force at the moment `at`.
    pub fn confirm(&self, at: Instant) {
        let at = at.saturating_duration_since(self.since).as_millis();
        self.confirmed_ms.fetch_max(u64::try_from(at).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// Whether the policy in force may be decided by: false when it could not be confirmed for
    /// half a minute, so that the oldest rules that are ever served are that old.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        let confirmed = Duration::from_millis(self.confirmed_ms.load(Ordering::Acquire));
        self.since.elapsed().saturating_sub(confirmed) <= BELIEVED_FOR
    }

    /// Puts `policy` in force, unless one of the same or a later version is.
    pub fn replace(&self, policy: CompiledPolicy) {
        // The channel's lock orders writers; without it an older policy could land last.
        self.version.send_if_modified(|version| {
            let is_newer = policy.version() > *version;
            if is_newer {
                *version = policy.version();
                self.current.store(Arc::new(policy));
            }
            is_newer
        });
    }

    /// Whatever is read next replaces the policy in force, also one of an earlier version: the journal
    /// tells another history. Until then the one in force stays; it is no longer confirmed.
    pub fn begin_anew(&self) {
        self.version.send_replace(0);
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<CompiledPolicy> {
        self.current.load_full()
    }

    /// What was decided lately.
    #[must_use]
    pub fn recent(&self) -> &RecentDecisions {
        &self.recent
    }

    /// Whether no policy has been read yet.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        *self.version.borrow() == 0
    }

    /// Waits until version `wanted` or a later one is in force.
    ///
    /// # Errors
    /// 503 `policy_behind` after [`WAIT`].
    pub async fn wait_for(&self, wanted: u64) -> Result<(), Problem> {
        let mut version = self.version.subscribe();
        let reached = version.wait_for(|version| *version >= wanted);
        match tokio::time::timeout(WAIT, reached).await {
            Ok(Ok(_)) => Ok(()),
            // The sender lives as long as we do, so that only the time can have run out.
            Ok(Err(_)) | Err(_) => Err(Problem::policy_behind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::policy::Policy;

    fn policy(version: u64) -> CompiledPolicy {
        CompiledPolicy::compile(&Policy::default(), version).expect("an empty policy compiles")
    }

    #[test]
    fn an_older_policy_never_replaces_a_newer_one() {
        let live = LivePolicy::new(policy(0));
        assert!(live.is_awaited());
        live.replace(policy(5));
        live.replace(policy(4));
        assert_eq!(live.current().version(), 5);
        assert!(!live.is_awaited());
    }

    #[test]
    fn a_policy_of_another_history_replaces_a_newer_one() {
        let live = LivePolicy::new(policy(5));
        live.begin_anew();
        assert_eq!(live.current().version(), 5, "until another one is read");
        assert!(live.is_awaited());
        live.replace(policy(4));
        assert_eq!(live.current().version(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_version_that_it_asks_for() {
        let live = Arc::new(LivePolicy::new(policy(1)));
        assert!(live.wait_for(1).await.is_ok());
        let waiting = tokio::spawn({
            let live = Arc::clone(&live);
            async move { live.wait_for(3).await.map_err(|problem| problem.code()) }
        });
        live.replace(policy(2));
        live.replace(policy(3));
        assert_eq!(waiting.await.expect("the task ends"), Ok(()));
        assert_eq!(live.wait_for(4).await.expect_err("it never comes").code(), "policy_behind");
    }
}
