use std::time::Duration;

/// The first pause; about what a failover of the connection pool takes.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause: when the database is back, nobody waits longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses that double, with jitter so that workers do not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure: between half and all of the doubled one before.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let whole = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Something worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[0] >= FIRST_PAUSE / 2);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(pauses[39] >= LONGEST_PAUSE / 2);
        backoff.reset();
        assert!(backoff.next_pause() <= FIRST_PAUSE);
    }
}
