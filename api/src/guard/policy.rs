//! The permission rules in force in this process.

use crate::http::Problem;
use arc_swap::ArcSwap;
use domain::policy::CompiledPolicy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a request waits for the rules that it asks for; after that the client should come
/// back, perhaps to another replica.
const WAIT: Duration = Duration::from_secs(1);

/// The compiled policy, replaced as a whole whenever it changes. Reading it costs no lock.
pub struct LivePolicy {
    current: ArcSwap<CompiledPolicy>,
    version: watch::Sender<u64>,
}

impl LivePolicy {
    /// Starts with `policy`, which may be one of version 0: a policy without any event, which
    /// means that it has not been read yet.
    #[must_use]
    pub fn new(policy: CompiledPolicy) -> Self {
        let version = watch::Sender::new(policy.version());
        Self { current: ArcSwap::from_pointee(policy), version }
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

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<CompiledPolicy> {
        self.current.load_full()
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
