//! Mailboxes that do not take mail at the moment, so that nobody's mailbox stands in another's way.
//!
//! Held in memory only, and by a hash that differs from process to process: no address is kept.

use follow::backoff::pause_after;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Mailboxes that are remembered. More are no full mailboxes but a mail server in trouble; they are tried
/// as if nothing was known.
const MAX_MAILBOXES: usize = 10_000;

/// How long the next mail to a mailbox waits that is being tried again with one.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What is known of mailboxes.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    hasher: RandomState,
    known: Mutex<HashMap<u64, Mailbox>>,
}

#[derive(Debug, Clone, Copy)]
enum Mailbox {
    /// It refused so many in a row, and is tried again with one mail.
    Busy { refusals: u64 },
    /// It refused so many in a row.
    Resting { refusals: u64, until: Instant },
}

impl Mailboxes {
    /// Whether a mail may be offered now; else, after which pause. Whoever may has to say what came of
    /// it, by [`accepted`](Self::accepted), [`refused`](Self::refused) or [`let_go`](Self::let_go).
    pub(super) fn offer(&self, address: &str) -> Result<(), Duration> {
        let key = self.hasher.hash_one(address);
        let mut known = self.known();
        let now = Instant::now();
        let refusals = match known.get(&key) {
            None => return Ok(()),
            Some(Mailbox::Busy { .. }) => return Err(BUSY_PAUSE),
            Some(Mailbox::Resting { until, .. }) if *until > now => return Err(*until - now),
            Some(Mailbox::Resting { refusals, .. }) => *refusals,
        };
        known.insert(key, Mailbox::Busy { refusals });
        Ok(())
    }

    /// The mailbox takes mail.
    pub(super) fn accepted(&self, address: &str) {
        self.known().remove(&self.hasher.hash_one(address));
    }

    /// The mailbox does not take mail now. For how long it rests.
    pub(super) fn refused(&self, address: &str, first: Duration, longest: Duration) -> Duration {
        let key = self.hasher.hash_one(address);
        let mut known = self.known();
        let refusals = match known.get(&key) {
            Some(Mailbox::Busy { refusals } | Mailbox::Resting { refusals, .. }) => refusals + 1,
            None => 1,
        };
        let pause = pause_after(refusals, first, longest);
        if known.contains_key(&key) || known.len() < MAX_MAILBOXES {
            known.insert(key, Mailbox::Resting { refusals, until: Instant::now() + pause });
        }
        pause
    }

    /// Nothing was learnt about the mailbox.
    pub(super) fn let_go(&self, address: &str) {
        let key = self.hasher.hash_one(address);
        let mut known = self.known();
        if let Some(Mailbox::Busy { refusals }) = known.get(&key) {
            let (refusals, until) = (*refusals, Instant::now());
            known.insert(key, Mailbox::Resting { refusals, until });
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Mailbox>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_mailbox_rests_longer_each_time_and_is_tried_again_with_one_mail() {
        let (mailboxes, second) = (Mailboxes::default(), Duration::from_secs(1));
        assert_eq!(mailboxes.offer("ada"), Ok(()));
        assert_eq!(mailboxes.offer("ada"), Ok(()), "nothing is known of it");
        let pauses: Vec<_> = (0..4).map(|_| mailboxes.refused("ada", second, 3 * second)).collect();
        assert!(pauses.is_sorted() && pauses[3] <= 3 * second, "{pauses:?}");
        assert!(mailboxes.offer("ada").is_err());
        assert_eq!(mailboxes.offer("bob"), Ok(()), "nobody stands in another's way");
        tokio::time::sleep(3 * second).await;
        assert_eq!(mailboxes.offer("ada"), Ok(()));
        assert_eq!(mailboxes.offer("ada"), Err(BUSY_PAUSE), "one is on its way");
        mailboxes.let_go("ada");
        assert_eq!(mailboxes.offer("ada"), Ok(()), "nothing was learnt");
        mailboxes.accepted("ada");
        assert_eq!([(); 2].map(|()| mailboxes.offer("ada")), [Ok(()); 2]);
    }
}
