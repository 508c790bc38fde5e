use std::time::Duration;

/// Pauses between tries that double up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// How long to wait before the next try.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// It worked: the next failure is a new one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// The pause after so many tries, the first being 1.
pub(crate) fn pause_after(tries: u64, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_grow_to_the_bound_and_start_again() {
        let mut backoff = Backoff::new(MS, 5 * MS);
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [MS, 2 * MS, 4 * MS, 5 * MS, 5 * MS]);
        backoff.reset();
        assert_eq!(backoff.pause(), MS);
    }

    #[test]
    fn no_number_of_tries_leaves_the_bounds() {
        let pause = |tries| pause_after(tries, MS, 5 * MS);
        assert_eq!([pause(0), pause(1), pause(3), pause(u64::MAX)], [MS, MS, 4 * MS, 5 * MS]);
    }
}
