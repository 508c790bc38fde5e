//! The command bus: the one way from a command to its events.
//!
//! A [`Plan`] names one or several aggregates, each with a command; they are decided together and
//! appended together, all or nothing. The bus loads state, decides, hands the outcome to the
//! journal's writer and decides again when something that it saw has changed meanwhile.
//!
//! **Speculation.** Decisions are made on the newest known state, durable or not: (1) wait for a
//! place in the writer's queue, lock the touched aggregates in the order of their keys; (2)
//! decide; (3) without waiting, hand over, put the new state into the cache, unlock; (4) wait for
//! the answer; (5) if refused, drop the cached state that was built on it and try again with fresh
//! event ids. The check in the database makes it safe; the cache makes it fast.
//!
//! **Keys.** An idempotency key has one outcome, and only the writer can say which: it looks under the
//! lock that orders all appends. So nobody who looks before may answer for it. A request whose plan
//! cannot be made any more (the cart is empty by now, the product is not sold any more) is refused
//! by [`Bus::refuse`], which asks the writer first.
//!
//! **Tags** are expected like streams: a plan may say how many events may have one, whatever their streams.
//! The count is read with the decision and holds in the append, under the same lock.
//!
//! **Snapshots** shorten the loads of long streams. They are written behind the bus's back and are
//! believed only where they cannot be wrong, so they may be missing, late or deleted.

mod cache;
mod execute;
mod fingerprint;
mod keys;
mod load;
mod plan;
mod snapshots;
mod tags;

pub use execute::{ExecuteError, Executed};
pub use fingerprint::FingerprintKey;
pub use load::{LoadError, Loaded, fold};
pub use plan::{Context, Plan, RequestKey, VersionConflict, new_event};
pub use snapshots::{EVENTS_BETWEEN_SNAPSHOTS, SnapshotWriter};

use crate::counters::Counters;
use crate::journal::Journal;
use cache::Cache;
use domain::Timestamp;
use load::Loader;
use postgres_es::PostgresEventRepository;
use snapshots::Snapshots;
use std::sync::Arc;
use uuid::Uuid;

/// Where the bus gets what it may not make up: the time and fresh ids. The composition root says.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The present moment.
    pub now: fn() -> Timestamp,
    /// A new id, never given out before.
    pub new_id: fn() -> Uuid,
}

/// Executes plans. One per process; share it behind an `Arc`.
pub struct Bus {
    journal: Journal,
    loader: Loader,
    cache: Cache,
    world: World,
    fingerprints: FingerprintKey,
    counters: Arc<Counters>,
}

impl Bus {
    /// A bus over this process's journal, with a task that writes its snapshots.
    #[must_use]
    pub fn new(journal: Journal, world: World, fingerprints: FingerprintKey) -> Self {
        Self::with_snapshots_every(EVENTS_BETWEEN_SNAPSHOTS, journal, world, fingerprints)
    }

    /// The same with another distance between the snapshots of a stream, at least one event.
    #[must_use]
    pub fn with_snapshots_every(
        events: u64,
        journal: Journal,
        world: World,
        fingerprints: FingerprintKey,
    ) -> Self {
        let (bus, writer) = Self::open(events, journal, world, fingerprints);
        tokio::spawn(async move { writer.run().await });
        bus
    }

    /// The same with the task, for a caller that keeps it running.
    #[must_use]
    pub fn open(
        events: u64,
        journal: Journal,
        world: World,
        fingerprints: FingerprintKey,
    ) -> (Self, SnapshotWriter) {
        let (pool, counters) = (journal.pool().clone(), Arc::clone(journal.counters()));
        let repository = PostgresEventRepository::new(pool.clone());
        let (snapshots, writer) = Snapshots::new(pool, events, Arc::clone(&counters));
        let loader = Loader::new(repository, snapshots, Arc::clone(&counters));
        (Self { journal, loader, cache: Cache::new(), world, fingerprints, counters }, writer)
    }

    /// The journal that the bus appends to.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Forgets every state that it has in memory: the journal turned out to tell another history.
    /// Snapshots are not believed there by themselves.
    pub fn forget_all(&self) {
        self.cache.forget_all();
    }

    /// What the bus and its journal's writer count.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What stands for a personal text in tags, see [`FingerprintKey::pseudonym`].
    #[must_use]
    pub fn pseudonym(&self, purpose: &str, text: &str) -> String {
        self.fingerprints.pseudonym(purpose, text)
    }

    /// The time and the ids that decisions of this process get.
    #[must_use]
    pub fn world(&self) -> World {
        self.world
    }
}
