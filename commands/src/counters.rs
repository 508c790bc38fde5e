//! What the write side counts of itself: cheap to count, cheap to read, never reset.

use crate::journal::Appended;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

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
