//! The database's time, as far as this process can tell it without asking.
//!
//! Decisions are made on the time by which events are recorded. It is taken at each connection of the
//! writer, and each append compares it again: a clock that jumps is noticed by both sides.

use super::Appended;
use domain::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use tracing::error;

/// The farthest that the clocks of a process and of the database may be apart. One of them is wrong
/// then, nobody can tell which, and nothing is written until they agree.
pub const MAX_OFFSET: Duration = Duration::from_secs(300);

/// A measurement that took longer says too little.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// This process's clock, and how far the database's is from it.
#[derive(Debug)]
pub struct Clock {
    now: fn() -> Timestamp,
    offset_us: AtomicI64,
}

impl Clock {
    pub(crate) fn new(now: fn() -> Timestamp) -> Self {
        Self { now, offset_us: AtomicI64::new(0) }
    }

    /// The database's time, within what a round trip takes and clocks drift by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        OffsetDateTime::from((self.now)()).saturating_add(self.offset()).into()
    }

    /// How far the database's clock is ahead of this process's.
    #[must_use]
    pub fn offset(&self) -> time::Duration {
        time::Duration::microseconds(self.offset_us.load(Ordering::Relaxed))
    }

    /// This process's own time, which the database compares with its own.
    pub(super) fn here(&self) -> OffsetDateTime {
        (self.now)().into()
    }

    /// The database said that it was `then`, in an answer that took so long.
    pub(super) fn set_by(&self, then: OffsetDateTime, took: Duration) {
        if took > LONGEST_LOOK {
            return;
        }
        let offset = then - (self.here() - took / 2);
        let offset_us = i64::try_from(offset.whole_microseconds()).unwrap_or(i64::MAX);
        let before = self.offset_us.swap(offset_us, Ordering::Relaxed);
        let is_far = |offset_us: i64| u128::from(offset_us.unsigned_abs()) > MAX_OFFSET.as_micros();
        if is_far(offset_us) && !is_far(before) {
            error!(
                clock.offset_seconds = offset.whole_seconds(),
                "the clocks of this process and of the database are too far apart, and nothing is \
                 written until they agree: set them right"
            );
        }
    }

    /// Each append says when it was recorded.
    pub(super) fn follow(&self, outcomes: &[Appended], took: Duration) {
        let recorded = outcomes.iter().rev().find_map(|outcome| match outcome {
            Appended::Done { recorded_at, .. } => *recorded_at,
            Appended::Conflict | Appended::Replay(_) => None,
        });
        if let Some(recorded_at) = recorded {
            self.set_by(recorded_at, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_time_is_this_process_s_with_the_offset_that_was_measured() {
        let clock = Clock::new(|| OffsetDateTime::UNIX_EPOCH.into());
        assert_eq!(clock.offset(), time::Duration::ZERO);
        let ahead = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(10);
        clock.set_by(ahead, Duration::from_millis(200));
        assert_eq!(clock.offset(), time::Duration::milliseconds(10_100));
        assert_eq!(OffsetDateTime::from(clock.now()), ahead + Duration::from_millis(100));
        clock.set_by(ahead + Duration::from_secs(50), Duration::from_secs(2));
        assert_eq!(clock.offset(), time::Duration::milliseconds(10_100), "it took too long");
    }
}
