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

mod cache;
mod execute;
mod load;
mod plan;

pub use execute::{ExecuteError, Executed, Recorded, Versions};
pub use load::{LoadError, Loaded, fold};
pub use plan::{Context, Plan, RequestKey, VersionConflict, new_event};

use crate::journal::Journal;
use cache::Cache;
use domain::Timestamp;
use postgres_es::PostgresEventRepository;
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
    repository: PostgresEventRepository,
    cache: Cache,
    world: World,
}

impl Bus {
    /// A bus over this process's journal.
    #[must_use]
    pub fn new(journal: Journal, world: World) -> Self {
        let repository = PostgresEventRepository::new(journal.pool().clone());
        Self { journal, repository, cache: Cache::new(), world }
    }

    /// The journal that the bus appends to.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The time and the ids that decisions of this process get.
    #[must_use]
    pub fn world(&self) -> World {
        self.world
    }
}
