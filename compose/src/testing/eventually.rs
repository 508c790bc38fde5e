//! Waiting for what nothing signals.

use std::time::{Duration, Instant};

/// The longest that anything may take on a machine that runs other tests as well; only a test that
/// fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: much shorter than what is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// What a look comes back with: whether it is so, or what was found.
pub trait Seen {
    /// What there is once it is so.
    type Found;

    /// None as long as it is not so.
    fn found(self) -> Option<Self::Found>;
}

impl Seen for bool {
    type Found = ();

    fn found(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Seen for Option<T> {
    type Found = T;

    fn found(self) -> Self {
        self
    }
}

/// Looks again and again until it is so, and gives what was found.
///
/// # Panics
/// With `what` when it is not so for a minute.
pub async fn eventually<S: Seen>(what: &str, mut look: impl AsyncFnMut() -> S) -> S::Found {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await.found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
