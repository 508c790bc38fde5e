//! The newest known state of the aggregates in use, durable or not yet.

use super::load::AnyState;
use domain::StreamKey;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

/// Aggregates whose state is kept. A cart or an order is a few kilobytes, so this is of the order
/// of a hundred megabytes at the worst; what is evicted is loaded again.
const KEPT_AGGREGATES: u64 = 20_000;

/// One aggregate's place. Its lock is held from looking at the state to handing over what was
/// decided on it, and never while a batch commits.
#[derive(Default)]
pub(super) struct Slot {
    /// The newest state; none before the first load and after a refusal.
    pub(super) known: Option<AnyState>,
    /// Grows with every refusal, so that of many refused decisions on one chain only the first
    /// drops it, and none drops the fresh state that came after.
    pub(super) generation: u64,
    /// The turn in which `known` was read or decided, 0 for none: what others decided beside it may be
    /// ahead of the journal.
    pub(super) turn: u64,
}

pub(super) struct Cache {
    slots: Moka<StreamKey, Arc<Mutex<Slot>>>,
}

impl Cache {
    pub(super) fn new() -> Self {
        // Least recently used goes first: a stream with work in flight was used just now. Should
        // one be evicted all the same, the check in the database keeps the decision honest.
        let slots = Moka::builder()
            .max_capacity(KEPT_AGGREGATES)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { slots }
    }

    /// Locks the stream's slot. Callers lock several in the order of their keys.
    pub(super) async fn lock(&self, stream: &StreamKey) -> OwnedMutexGuard<Slot> {
        let slot = self.slots.get_with_by_ref(stream, Arc::default);
        slot.lock_owned().await
    }

    /// Forgets what was built on a refused decision, unless somebody has done so already.
    pub(super) async fn forget(&self, stream: &StreamKey, generation: u64) {
        let mut slot = self.lock(stream).await;
        if slot.generation == generation {
            slot.known = None;
            slot.generation += 1;
        }
    }

    /// Forgets a state that turned out not to be the newest.
    pub(super) async fn forget_head(&self, stream: &StreamKey, head: Option<Uuid>) {
        let mut slot = self.lock(stream).await;
        if slot.known.as_ref().is_some_and(|known| known.head == head) {
            slot.known = None;
            slot.generation += 1;
        }
    }

    /// Forgets every state: what they were built on may be gone. What is being decided at this moment
    /// the check in the database refuses.
    pub(super) fn forget_all(&self) {
        self.slots.invalidate_all();
    }
}
