//! A brake on guessing one account's password, from however many addresses.
//!
//! Every attempt counts as a wrong one until it was right. After a few in a row the next has to wait, twice as long
//! each time. Nothing else is braked: who is signed in stays signed in, and where somebody has signed in before, the
//! attempts of others do not count. Each process counts for itself, and forgets what it counted when it ends.

use crate::application::Failure;
use crate::limits::network;
use moka::sync::Cache;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Wrong attempts in a row that cost no time: people mistype.
const FREE_ATTEMPTS: u32 = 5;

/// The first and the longest pause. With the longest, one account can be guessed at a hundred times a day.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Accounts and places that are remembered (some hundred bytes each). Of more, those that rested longest are forgotten,
/// which is what an attack on all accounts at once gains: the limits of addresses hold against that.
const MAX_REMEMBERED: u64 = 100_000;

/// When wrong attempts are forgotten: longer than the longest pause.
const FORGET_ATTEMPTS_AFTER: Duration = Duration::from_secs(3600);

/// For how long a place is known where somebody has signed in: as long as a session lasts.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// What was tried, by hashes that differ from process to process: no address of anybody is kept.
pub struct Brake {
    hasher: RandomState,
    attempts: Cache<u64, Arc<Mutex<Attempts>>>,
    /// Accounts with the networks where they have signed in.
    known: Cache<u64, ()>,
}

#[derive(Debug, Clone, Copy)]
struct Attempts {
    in_a_row: u32,
    next_at: Instant,
}

/// One attempt, that has to say how it ended when it was right.
pub struct Attempt<'a> {
    brake: &'a Brake,
    place: u64,
    counted_under: u64,
}

impl Default for Brake {
    fn default() -> Self {
        let attempts = Cache::builder().max_capacity(MAX_REMEMBERED);
        let known = Cache::builder().max_capacity(MAX_REMEMBERED);
        Self {
            hasher: RandomState::new(),
            attempts: attempts.time_to_idle(FORGET_ATTEMPTS_AFTER).build(),
            known: known.time_to_live(KNOWN_FOR).build(),
        }
    }
}

impl Brake {
    /// Somebody has signed up or in here. Whether that is news.
    pub fn note_place(&self, account: &str, address: IpAddr) -> bool {
        let place = self.hasher.hash_one((account, network(address)));
        let is_new = !self.known.contains_key(&place);
        self.known.insert(place, ());
        is_new
    }

    /// Begins an attempt on `account`, whatever it is called by as long as it is always the same, from `address`.
    /// It says nothing about whether there is such an account.
    ///
    /// # Errors
    /// [`Failure::TooManyAttempts`] when it comes too early.
    pub fn attempt(&self, account: &str, address: IpAddr) -> Result<Attempt<'_>, Failure> {
        let everywhere = self.hasher.hash_one(account);
        let place = self.hasher.hash_one((account, network(address)));
        let counted_under = if self.known.contains_key(&place) { place } else { everywhere };
        let now = Instant::now();
        let first = || Arc::new(Mutex::new(Attempts { in_a_row: 0, next_at: now }));
        let attempts = self.attempts.get_with(counted_under, first);
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if now < attempts.next_at {
            return Err(Failure::TooManyAttempts { wait: attempts.next_at - now });
        }
        attempts.in_a_row = attempts.in_a_row.saturating_add(1);
        if let Some(paid) = attempts.in_a_row.checked_sub(FREE_ATTEMPTS) {
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(paid.min(16));
            attempts.next_at = now + pause.min(LONGEST_PAUSE);
        }
        Ok(Attempt { brake: self, place, counted_under })
    }
}

impl Attempt<'_> {
    /// The password was right: this place is known from now on, and what went wrong before is forgotten.
    pub fn was_right(self) {
        self.brake.known.insert(self.place, ());
        self.brake.attempts.invalidate(&self.counted_under);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "ada@example.com";

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn wait(brake: &Brake, from: IpAddr) -> Option<Duration> {
        match brake.attempt(ADA, from) {
            Ok(_) => None,
            Err(Failure::TooManyAttempts { wait }) => Some(wait),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_takes_longer_each_time_from_however_many_addresses() {
        let brake = Brake::default();
        for n in 0..5 {
            assert_eq!(wait(&brake, address(n)), None, "people mistype");
        }
        let mut pauses = vec![];
        for n in 5..25 {
            let pause = wait(&brake, address(n)).expect("too early");
            assert_eq!(wait(&brake, address(n + 100)), Some(pause), "asking early costs nothing");
            tokio::time::sleep(pause).await;
            assert_eq!(wait(&brake, address(n)), None);
            pauses.push(pause);
        }
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE, "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert!(brake.attempt("bob@example.com", address(1)).is_ok(), "nobody else waits");
    }

    #[tokio::test(start_paused = true)]
    async fn who_signs_in_where_they_did_before_does_not_wait_for_others_attempts() {
        let brake = Brake::default();
        if let Ok(first) = brake.attempt(ADA, address(1)) {
            first.was_right();
        }
        while wait(&brake, address(2)).is_none() {}
        assert_eq!(wait(&brake, address(1)), None, "a known place");
        assert!(wait(&brake, address(3)).is_some(), "an unknown one");
        while wait(&brake, address(1)).is_none() {}
        assert!(wait(&brake, address(1)).is_some(), "but guessing there is braked as well");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_come_at_once_all_count_and_a_right_one_forgets_them() {
        let brake = Brake::default();
        let mut begun: Vec<_> =
            (0..20).map_while(|n| brake.attempt(ADA, address(n)).ok()).collect();
        assert_eq!(begun.len(), 5, "none of them has said how it ended");
        begun.pop().expect("one").was_right();
        assert_eq!(wait(&brake, address(9)), None);
    }
}
