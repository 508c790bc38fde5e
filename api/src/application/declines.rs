//! A brake on cards that are declined: each attempt costs the shop and its provider something, and who tries stolen
//! cards tries many.
//!
//! Declines are counted by order, by user, by the network that they come from and by card. After a few in a row the
//! next attempt has to wait, twice as long each time. A payment that succeeds clears order, user and card, and leaves
//! the network, which may be many people. Each process counts for itself, and forgets what it counted when it ends.

use super::Failure;
use crate::limits::network;
use domain::{OrderId, UserId};
use moka::sync::Cache;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// When declines are forgotten: longer than the longest pause.
const FORGET_AFTER: Duration = Duration::from_secs(2 * 3600);

/// Orders, users, networks and cards that are remembered (some hundred bytes each). Of more, those that rested longest
/// are forgotten.
const MAX_REMEMBERED: u64 = 100_000;

/// What is counted, by hashes that differ from process to process: nobody's card or address is kept.
pub struct Declines {
    hasher: RandomState,
    counted: Cache<u64, Arc<Mutex<Counted>>>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    in_a_row: u32,
    next_at: Instant,
}

/// Who tries to pay what with which card.
#[derive(Debug, Clone, Copy)]
pub struct Payer<'a> {
    /// For which order, which may be one that is being placed.
    pub order_id: OrderId,
    /// Who.
    pub user_id: UserId,
    /// From where; none for load generators.
    pub from: Option<IpAddr>,
    /// The provider's token of the card.
    pub token: &'a str,
}

/// Declines that count together.
#[derive(Hash)]
enum Subject<'a> {
    Order(OrderId),
    User(UserId),
    Network(IpAddr),
    Card(&'a str),
}

impl Subject<'_> {
    /// Declines in a row that cost no time: people mistype, and have several cards.
    fn free(&self) -> u32 {
        match self {
            Self::Order(_) => 5,
            Self::User(_) | Self::Card(_) => 10,
            Self::Network(_) => 30,
        }
    }

    fn is_cleared_by_success(&self) -> bool {
        match self {
            Self::Order(_) | Self::User(_) | Self::Card(_) => true,
            Self::Network(_) => false,
        }
    }
}

impl<'a> Payer<'a> {
    fn subjects(self) -> impl Iterator<Item = Subject<'a>> {
        let Self { order_id, user_id, from, token } = self;
        let from = from.map(|from| Subject::Network(network(from)));
        let always = [Subject::Order(order_id), Subject::User(user_id), Subject::Card(token)];
        always.into_iter().chain(from)
    }
}

impl Default for Declines {
    fn default() -> Self {
        let counted = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_idle(FORGET_AFTER);
        Self { hasher: RandomState::new(), counted: counted.build() }
    }
}

impl Declines {
    /// Whether it may be tried now.
    ///
    /// # Errors
    /// [`Failure::TooManyDeclines`] when it comes too early.
    pub fn check(&self, payer: Payer<'_>) -> Result<(), Failure> {
        let now = Instant::now();
        let waits = payer.subjects().filter_map(|subject| {
            let counted = self.counted.get(&self.hasher.hash_one(&subject))?;
            let next_at = counted.lock().unwrap_or_else(PoisonError::into_inner).next_at;
            next_at.checked_duration_since(now).filter(|wait| !wait.is_zero())
        });
        match waits.max() {
            Some(wait) => Err(Failure::TooManyDeclines { wait }),
            None => Ok(()),
        }
    }

    /// The provider has declined.
    pub fn declined(&self, payer: Payer<'_>) {
        let now = Instant::now();
        for subject in payer.subjects() {
            let first = || Arc::new(Mutex::new(Counted { in_a_row: 0, next_at: now }));
            let counted = self.counted.get_with(self.hasher.hash_one(&subject), first);
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.in_a_row = counted.in_a_row.saturating_add(1);
            if let Some(over) = counted.in_a_row.checked_sub(subject.free()) {
                let pause = FIRST_PAUSE * 2_u32.saturating_pow(over.min(16));
                counted.next_at = now + pause.min(LONGEST_PAUSE);
            }
        }
    }

    /// The provider has the money, or will have it.
    pub fn succeeded(&self, payer: Payer<'_>) {
        for subject in payer.subjects().filter(Subject::is_cleared_by_success) {
            self.counted.invalidate(&self.hasher.hash_one(&subject));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn payer(order: u128, user: u128, last: u8, token: &str) -> Payer<'_> {
        Payer {
            order_id: Uuid::from_u128(order).into(),
            user_id: Uuid::from_u128(user).into(),
            from: Some(IpAddr::from([192, 0, 2, last])),
            token,
        }
    }

    fn wait(declines: &Declines, payer: Payer<'_>) -> Option<Duration> {
        match declines.check(payer) {
            Ok(()) => None,
            Err(Failure::TooManyDeclines { wait }) => Some(wait),
            Err(other) => panic!("{other}"),
        }
    }

    /// Declines until there is a pause; how many that were.
    fn until_braked<'a>(declines: &Declines, payer: impl Fn(u8) -> Payer<'a>) -> u32 {
        for n in 0..=200 {
            if wait(declines, payer(n)).is_some() {
                return n.into();
            }
            declines.declined(payer(n));
        }
        panic!("nothing brakes");
    }

    #[tokio::test(start_paused = true)]
    async fn declines_are_counted_by_order_user_network_and_card() {
        let tokens: Vec<String> = (0..=200).map(|n| format!("tok_{n}")).collect();
        let (of, token) = (u128::from, |n: u8| tokens[usize::from(n)].as_str());
        let order = |n: u8| payer(1, of(n), n, token(n));
        let user = |n: u8| payer(of(n), 1, n, token(n));
        let card = |n: u8| payer(of(n), of(n), n, "tok");
        let network = |n: u8| payer(of(n), of(n), 1, token(n));
        assert_eq!(until_braked(&Declines::default(), order), 5);
        assert_eq!(until_braked(&Declines::default(), user), 10);
        assert_eq!(until_braked(&Declines::default(), card), 10);
        assert_eq!(until_braked(&Declines::default(), network), 30);
        let declines = Declines::default();
        until_braked(&declines, order);
        assert_eq!(wait(&declines, payer(2, 200, 200, "other")), None, "nobody else waits");
    }

    #[tokio::test(start_paused = true)]
    async fn each_further_decline_takes_longer_and_a_payment_clears_it() {
        let declines = Declines::default();
        let payer = payer(1, 1, 1, "tok");
        until_braked(&declines, |_| payer);
        let mut pauses = vec![];
        for _ in 0..8 {
            let pause = wait(&declines, payer).expect("too early");
            pauses.push(pause);
            tokio::time::sleep(pause).await;
            assert_eq!(wait(&declines, payer), None);
            declines.declined(payer);
        }
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE, "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        declines.succeeded(payer);
        assert_eq!(until_braked(&declines, |_| payer), 5);
    }
}
