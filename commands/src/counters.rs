//! What the write side counts of itself: cheap to count, cheap to read, never reset.

use crate::journal::Appended;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counters of one process. Share it behind an `Arc`: whoever shows them must not keep the journal.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) loads: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) contended: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    batches: AtomicU64,
    append_us: AtomicU64,
    done: AtomicU64,
    replayed: AtomicU64,
    conflicts: AtomicU64,
    /// Since when the writer has something to append and hears no answer.
    unanswered_since: Mutex<Option<Instant>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Aggregates that a decision or a plan found in memory.
    pub cache_hits: u64,
    /// Those that it had to load.
    pub cache_misses: u64,
    /// Aggregates read from the journal, for whatever reason.
    pub loads: u64,
    /// Decisions that were made again because of a conflict.
    pub retried: u64,
    /// Plans that were given up because of conflicts.
    pub contended: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Batches that the writer appended.
    pub batches: u64,
    /// Microseconds that the writer waited for the database, all batches together.
    pub append_us: u64,
    /// Commands that the journal took, with or without events.
    pub done: u64,
    /// Commands whose key had an outcome already.
    pub replayed: u64,
    /// Commands that were refused because what they were decided on had changed.
    pub conflicts: u64,
}

impl Counters {
    /// How long the writer has had something to append without hearing an answer; none while all is well.
    #[must_use]
    pub fn unanswered_for(&self) -> Option<Duration> {
        let since = self.unanswered_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }

    /// There is something to append.
    pub(crate) fn asks(&self) {
        let mut since = self.unanswered_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now);
    }

    /// The database has answered.
    pub(crate) fn was_answered(&self) {
        *self.unanswered_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What was counted so far.
    #[must_use]
    pub fn now(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            cache_hits: read(&self.hits),
            cache_misses: read(&self.misses),
            loads: read(&self.loads),
            retried: read(&self.retried),
            contended: read(&self.contended),
            snapshots: read(&self.snapshots),
            batches: read(&self.batches),
            append_us: read(&self.append_us),
            done: read(&self.done),
            replayed: read(&self.replayed),
            conflicts: read(&self.conflicts),
        }
    }

    pub(crate) fn batch_done(&self, outcomes: &[Appended], took: Duration) {
        self.batches.fetch_add(1, Relaxed);
        self.append_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        let (mut done, mut replayed, mut conflicts) = (0, 0, 0);
        for outcome in outcomes {
            match outcome {
                Appended::Done { .. } => done += 1,
                Appended::Replay(_) => replayed += 1,
                Appended::Conflict => conflicts += 1,
            }
        }
        self.done.fetch_add(done, Relaxed);
        self.replayed.fetch_add(replayed, Relaxed);
        self.conflicts.fetch_add(conflicts, Relaxed);
    }
}
