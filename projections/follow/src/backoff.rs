//! Pauses between tries: they double up to a bound, and are jittered, so that those who failed together do not
//! come back together.

use std::time::Duration;

/// The pauses of whoever tries again and again.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The pause after one more failure.
    pub fn pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        jittered(pause_after(self.failures.into(), self.first, self.longest))
    }

    /// It worked: the next failure is a new one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The pause after so many tries, the first being 1, for those who keep count elsewhere. Not jittered.
#[must_use]
pub fn pause_after(tries: u64, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// Between half and all of it.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_grow_to_the_bound_and_start_again() {
        let mut backoff = Backoff::new(MS, 5 * MS);
        for whole in [MS, 2 * MS, 4 * MS, 5 * MS, 5 * MS] {
            let pause = backoff.pause();
            assert!((whole / 2..=whole).contains(&pause), "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= MS);
    }

    #[test]
    fn no_number_of_tries_leaves_the_bounds() {
        let pause = |tries| pause_after(tries, MS, 5 * MS);
        assert_eq!([pause(0), pause(1), pause(3), pause(u64::MAX)], [MS, MS, 4 * MS, 5 * MS]);
    }
}
