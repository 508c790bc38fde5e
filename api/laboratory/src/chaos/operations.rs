//! What a client does next: the same for the same seed, whatever happened to it before.

use super::history::Leg;
use domain::Sku;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Accounts that half of everything happens on, so that speculation has something to do.
const HOT_ACCOUNTS: u32 = 3;

/// All accounts.
const ACCOUNTS: u32 = 24;

/// Stock items; part of the operations are on several kinds of aggregate.
pub(super) const SKUS: u32 = 3;

/// Of so many operations of a client one is tried by its namesakes in all processes, under one key.
const SHARED_EVERY: u32 = 8;

/// The place that operations have that belong to all processes.
const SHARED: u32 = 0xff;

/// Something that shall happen, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    /// Unique within a cycle.
    pub(super) op: u64,
    /// Its idempotency key, for every second one.
    pub(super) key: Option<Uuid>,
    /// What it does.
    pub(super) legs: Vec<Leg>,
    /// Whether its client asks once more when it has its answer, as one does whose answer was lost.
    pub(super) asks_again: bool,
}

/// Operation `number` of client `client` of the process in place `slot`.
pub(super) fn operation(seed: u64, slot: u32, client: u32, number: u32) -> Operation {
    let shared = number % SHARED_EVERY == SHARED_EVERY - 1;
    let slot = if shared { SHARED } else { slot };
    let op = u64::from(slot) << 48 | u64::from(client) << 32 | u64::from(number);
    let mut rng = StdRng::seed_from_u64(seed ^ op.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let keyed = shared || number.is_multiple_of(2);
    Operation {
        op,
        key: keyed.then(|| Uuid::from_u64_pair(seed, op)),
        legs: legs(&mut rng),
        asks_again: keyed && rng.random_ratio(1, 4),
    }
}

fn legs(rng: &mut StdRng) -> Vec<Leg> {
    let amount = rng.random_range(1..=100);
    let [one, two, three] = accounts(rng);
    let mut legs = match rng.random_range(0..100) {
        0..25 => vec![leg(one, amount)],
        25..40 => vec![leg(one, -2 * amount)],
        40..65 => vec![leg(one, -amount), leg(two, amount)],
        65..75 => vec![leg(one, -2 * amount), leg(two, amount), leg(three, amount)],
        75..80 => vec![leg(one, amount), leg(one, amount)],
        80..90 => return vec![leg(one, 0)],
        _ => vec![leg(one, -amount), leg(two, amount)],
    };
    if rng.random_ratio(1, 5) {
        let sku = sku(rng.random_range(0..SKUS));
        legs.push(Leg::Receive { sku });
    }
    legs
}

fn leg(account: u32, amount: i64) -> Leg {
    Leg::Move { account: format!("account-{account}"), amount }
}

pub(super) fn sku(number: u32) -> Sku {
    Sku::parse(format!("chaos-{number}")).expect("our own names are valid")
}

/// Three different accounts, the first of them often a hot one.
fn accounts(rng: &mut StdRng) -> [u32; 3] {
    let among = if rng.random() { HOT_ACCOUNTS } else { ACCOUNTS };
    let first = rng.random_range(0..among);
    let step = rng.random_range(1..ACCOUNTS - 1);
    [first, (first + step) % ACCOUNTS, (first + step + 1) % ACCOUNTS]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_operations_and_another_one_others() {
        let of = |seed| (0..200).map(|n| operation(seed, 1, 2, n)).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn namesakes_in_all_processes_share_some_operations_and_no_other() {
        let of = |slot| (0..80).map(move |n| operation(7, slot, 2, n)).collect::<Vec<_>>();
        let (one, other) = (of(0), of(1));
        let names: HashSet<_> = one.iter().map(|operation| operation.op).collect();
        assert_eq!(names.len(), 80);
        let shared: Vec<_> = other.iter().filter(|o| names.contains(&o.op)).collect();
        assert_eq!(shared.len(), 10);
        assert!(shared.iter().all(|shared| shared.key.is_some() && one.contains(shared)));
    }

    #[test]
    fn what_takes_from_several_accounts_names_each_of_them_once() {
        for number in 0..500 {
            let legs = operation(7, 0, 0, number).legs;
            let named: Vec<_> = legs
                .iter()
                .filter_map(|leg| match leg {
                    Leg::Move { account, amount } if *amount < 0 => Some(account),
                    _ => None,
                })
                .collect();
            let streams: HashSet<_> = legs.iter().map(|leg| format!("{leg:?}")).collect();
            assert!(named.len() <= 1 && (named.is_empty() || streams.len() == legs.len()));
        }
    }
}
