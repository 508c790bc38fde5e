//! How many bytes of requests and answers are in memory, of one address and in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of everybody. Answers are built before they are counted, which the number of requests at work bounds.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Of one address: some thirty of the longest answers, or as many bodies of the greatest size.
const MAX_BYTES_OF_ADDRESS: usize = 32 * 1024 * 1024;

/// The same of heads that have not ended, beyond what every connection has free: a usual one needs none of it.
const MAX_HEAD_BYTES: usize = 32 * 1024 * 1024;
const MAX_HEAD_BYTES_OF_ADDRESS: usize = 8 * 1024 * 1024;

/// A sum of everybody's bytes.
#[derive(Clone)]
pub(super) struct Budget {
    all: Arc<AtomicUsize>,
    most: usize,
    most_of_address: usize,
}

/// What one address has of it.
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<AtomicUsize>,
    most_of_all: usize,
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
    /// Of bodies and answers in flight.
    pub(super) fn in_flight() -> Self {
        Self { all: Arc::default(), most: MAX_BYTES, most_of_address: MAX_BYTES_OF_ADDRESS }
    }

    /// Of heads that have not ended.
    pub(super) fn of_heads() -> Self {
        let (most, most_of_address) = (MAX_HEAD_BYTES, MAX_HEAD_BYTES_OF_ADDRESS);
        Self { all: Arc::default(), most, most_of_address }
    }

    /// One more address.
    pub(super) fn share(&self) -> Arc<Share> {
        self.with(self.most_of_address)
    }

    /// An address with many people behind it.
    pub(super) fn unshared(&self) -> Arc<Share> {
        self.with(self.most)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn with(&self, most: usize) -> Arc<Share> {
        let all = Arc::clone(&self.all);
        Arc::new(Share { all, most_of_all: self.most, own: AtomicUsize::new(0), most })
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
        let Share { all, most_of_all, own, most } = &*self.share;
        let before = own.fetch_add(bytes, Ordering::Relaxed);
        let of_all = all.fetch_add(bytes, Ordering::Relaxed);
        let fits = |before: usize, most: usize| before == 0 || before.saturating_add(bytes) <= most;
        let is_held = fits(before, *most) && fits(of_all, *most_of_all);
        if is_held {
            self.bytes += bytes;
        } else {
            own.fetch_sub(bytes, Ordering::Relaxed);
            all.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_held
    }
}

impl Held {
    /// Counts so many bytes from now on, whatever it was before; whether they are not too many. If they are, nothing
    /// changes.
    pub(super) fn keep(&mut self, bytes: usize) -> bool {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            return more == 0 || self.more(more);
        }
        let less = self.bytes - bytes;
        self.share.own.fetch_sub(less, Ordering::Relaxed);
        self.share.all.fetch_sub(less, Ordering::Relaxed);
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.own.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
