//! How many bytes of requests and answers are in memory, of one address and in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of everybody. Answers are built before they are counted, which the number of requests at work bounds.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Of one address: some thirty of the longest answers, or as many bodies of the greatest size.
const MAX_BYTES_OF_ADDRESS: usize = 32 * 1024 * 1024;

/// What everybody has in flight.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// What one address has in flight.
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<AtomicUsize>,
    own: AtomicUsize,
    most: usize,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Budget {
    /// One more address.
    pub(super) fn share(&self) -> Arc<Share> {
        self.with(MAX_BYTES_OF_ADDRESS)
    }

    /// An address with many people behind it.
    pub(super) fn unshared(&self) -> Arc<Share> {
        self.with(MAX_BYTES)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn with(&self, most: usize) -> Arc<Share> {
        Arc::new(Share { all: Arc::clone(&self.0), own: AtomicUsize::new(0), most })
    }
}

impl Share {
    /// Counts so many bytes; none when they are too many.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Self::nothing(self);
        held.more(bytes).then_some(held)
    }

    /// Counts nothing yet.
    pub(crate) fn nothing(self: &Arc<Self>) -> Held {
        Held { share: Arc::clone(self), bytes: 0 }
    }
}

impl Held {
    /// Counts more bytes; whether they are not too many. What is greater than all that may be in flight may be so
    /// alone.
    pub(crate) fn more(&mut self, bytes: usize) -> bool {
        let Share { all, own, most } = &*self.share;
        let before = own.fetch_add(bytes, Ordering::Relaxed);
        let of_all = all.fetch_add(bytes, Ordering::Relaxed);
        let fits = |before: usize, most: usize| before == 0 || before.saturating_add(bytes) <= most;
        let is_held = fits(before, *most) && fits(of_all, MAX_BYTES);
        if is_held {
            self.bytes += bytes;
        } else {
            own.fetch_sub(bytes, Ordering::Relaxed);
            all.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.own.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
