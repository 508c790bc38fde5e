//! What clients do, drawn from a seed: who asks which process for what, and what goes wrong.

use domain::stock::StockCommand;
use domain::{OrderId, Quantity, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{reason, sku};
use uuid::Uuid;

/// Journals with a bus each, as if they were processes.
pub(crate) const PROCESSES: usize = 3;
pub(crate) const CLIENTS: u64 = 12;
pub(crate) const ACTIONS: u64 = 25;

/// Few, so that everybody fights for them. The last one is never opened.
pub(crate) const SKUS: [&str; 4] = ["HOT", "WARM", "COLD", "VOID"];
const KEYS: u128 = 8;
const ORDERS: u128 = 6;

pub(crate) enum Action {
    Call {
        process: usize,
        body: Body,
        key: Option<Key>,
        /// The client leaves when its call is still pending at this poll.
        patience: Option<u32>,
    },
    /// The server ends one writer's connection.
    CutWriter(usize),
    /// What the server answers a process's writer next never arrives.
    LoseAnswer(usize),
    /// The process forgets everything that it kept in memory.
    Restart(usize),
}

/// An idempotency key, under its own body or another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) own_body: bool,
}

impl Key {
    pub(crate) fn fingerprint(self) -> [u8; 32] {
        [u8::from(self.own_body); 32]
    }
}

/// What a call asks for. The versions that it depends on are looked up when it is made.
pub(crate) struct Body {
    pub(crate) steps: Vec<(usize, StockCommand, IfMatch)>,
    pub(crate) unchanged: Vec<usize>,
}

pub(crate) enum IfMatch {
    Any,
    Known,
    Outdated,
}

/// The actions of one client.
pub(crate) fn script(seed: u64, client: u64) -> impl Iterator<Item = Action> {
    let mut random = StdRng::seed_from_u64(seed ^ (client + 1).rotate_left(40));
    (0..ACTIONS).map(move |_| {
        let process = random.random_range(0..PROCESSES);
        match random.random_range(0..40) {
            0 => Action::CutWriter(process),
            1 => Action::LoseAnswer(process),
            2 => Action::Restart(process),
            _ => {
                let key = random.random_bool(0.25).then(|| Key {
                    id: Uuid::from_u128((0xd << 124) | random.random_range(0..KEYS)),
                    own_body: random.random_bool(0.85),
                });
                let body = match key {
                    Some(Key { id, own_body }) => {
                        let of_key = (id.as_u64_pair().1 << 1) | u64::from(own_body);
                        any_body(&mut StdRng::seed_from_u64(seed ^ of_key))
                    }
                    None => any_body(&mut random),
                };
                // Every await of a call is among its first few polls.
                let patience = random.random_bool(0.15).then(|| random.random_range(1..8));
                Action::Call { process, body, key, patience }
            }
        }
    })
}

fn any_body(random: &mut StdRng) -> Body {
    let count = if random.random_bool(0.6) { 1 } else { random.random_range(2..=4) };
    let steps = (0..count)
        .map(|_| {
            let item = any_item(random);
            let if_match = match random.random_range(0..12) {
                0 => IfMatch::Known,
                1 => IfMatch::Outdated,
                _ => IfMatch::Any,
            };
            (item, any_command(random, item), if_match)
        })
        .collect();
    let unchanged = if random.random_bool(0.2) { vec![any_item(random)] } else { vec![] };
    Body { steps, unchanged }
}

fn any_item(random: &mut StdRng) -> usize {
    [0, 0, 0, 0, 1, 1, 2, 3][random.random_range(0..8)]
}

/// Events, refusals, and requests that change nothing.
fn any_command(random: &mut StdRng, item: usize) -> StockCommand {
    let order_id = OrderId::from(Uuid::from_u128((0xc << 124) | random.random_range(0..ORDERS)));
    match random.random_range(0..10) {
        0..5 => StockCommand::Reserve {
            sku: sku(SKUS[item]),
            order_id,
            quantity: Quantity::new(random.random_range(1..=4)).expect("in range"),
            until: Timestamp::EPOCH,
        },
        5 => StockCommand::Commit { order_id },
        6 | 7 => StockCommand::Release { order_id, reason: reason("test") },
        8 => receive(random.random_range(0..=4)),
        _ => StockCommand::Adjust { delta: random.random_range(-4..=2), reason: reason("test") },
    }
}

pub(crate) fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive { quantity, reason: reason("test") }
}
