//! How many mails are sent at a time, and which of them give way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How many mails one process sends at a time.
const CONCURRENCY: usize = 16;
/// How many of them may be mails that were tried before. What takes long takes long again, and must leave
/// room for mails that nobody has tried.
const CONCURRENCY_AGAIN: usize = CONCURRENCY / 2;
/// How many stand aside. When there are more, the first of them has had its time; it is tried again. With
/// [`CONCURRENCY`] it stays below the fifty connections that mail servers usually grant one client.
const MAX_SLOW: usize = 32;

/// The places of one process.
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// Of these, for mails that were tried before.
    again: Arc<Semaphore>,
    /// Conversations that take long, the oldest first, each with what ends it.
    aside: Mutex<VecDeque<CancellationToken>>,
}

/// A mail's place. Both are there for whoever takes no more mails than there is room for.
pub(super) struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _again: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(CONCURRENCY)),
            again: Arc::new(Semaphore::new(CONCURRENCY_AGAIN)),
            aside: Mutex::default(),
        })
    }

    /// How many more mails may be sent.
    pub(super) fn room(&self) -> usize {
        self.all.available_permits()
    }

    /// How many more that were tried before.
    pub(super) fn room_again(&self) -> usize {
        self.again.available_permits()
    }

    pub(super) fn take(&self, is_again: bool) -> Place {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        Place { _all: take(&self.all), _again: is_again.then(|| take(&self.again)).flatten() }
    }

    /// Leaves a place to the next mail. When too many stand aside, the first of them is told to give up.
    pub(super) fn step_aside(self: &Arc<Self>, place: Place, give_up: CancellationToken) -> Aside {
        let mut aside = self.aside();
        aside.push_back(give_up.clone());
        if aside.len() > MAX_SLOW
            && let Some(first) = aside.pop_front()
        {
            first.cancel();
        }
        drop(aside);
        drop(place);
        Aside { places: Arc::clone(self), give_up }
    }

    fn aside(&self) -> MutexGuard<'_, VecDeque<CancellationToken>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A conversation that stands aside until it ends.
pub(super) struct Aside {
    places: Arc<Places>,
    give_up: CancellationToken,
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What was told to give up is not among them any more, and cancelling again changes nothing.
        self.give_up.cancel();
        self.places.aside().retain(|token| !token.is_cancelled());
    }
}
