//! Which aggregates are written to: stock items, each command books one piece in.

use super::measure::Rounds;
use domain::stock::StockCommand;
use domain::{Metadata, Reason, Sku};
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// Who writes all events of a run.
pub(super) const ACTOR: &str = "system:bench";

/// Stock items that commands are spread over: more than the most clients, each of which has its own
/// share of them, and few enough that every case has seen each of them.
const SPREAD_OVER: usize = 2_048;

/// How commands are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// No two commands in flight are on the same aggregate.
    Spread,
    /// All are.
    Hot,
}

impl Load {
    /// What our own case is called under this load.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Spread => "append",
            Self::Hot => "hot",
        }
    }

    /// The stock items of one number of clients, never written to before: whoever reads a whole
    /// stream for each command must not pay for what was measured earlier. Under a hot load one a
    /// round, for the same reason.
    pub(super) fn skus(self, clients: u16, rounds: Rounds) -> Arc<[Sku]> {
        let count = match self {
            Self::Spread => SPREAD_OVER,
            Self::Hot => rounds.count as usize,
        };
        numbered(&clients.to_string(), count)
    }

    /// The targets of each client.
    pub(super) fn targets(
        self,
        clients: u16,
        skus: &Arc<[Sku]>,
    ) -> impl Iterator<Item = Targets> + use<> {
        let skus = Arc::clone(skus);
        (0..usize::from(clients)).map(move |client| {
            let own = match self {
                Self::Spread => {
                    let share = skus.len() / usize::from(clients);
                    client * share..(client + 1) * share
                }
                Self::Hot => 0..1,
            };
            Targets { skus: Arc::clone(&skus), load: self, next: own.start, own }
        })
    }
}

/// One client's targets, one after the other.
pub(super) struct Targets {
    skus: Arc<[Sku]>,
    load: Load,
    /// Those that are written to in this round.
    own: Range<usize>,
    next: usize,
}

impl Targets {
    /// Another round begins.
    pub(super) fn begin(&mut self, round: u32) {
        if self.load == Load::Hot {
            let round = round as usize;
            self.own = round..round + 1;
        }
    }

    /// The stock item to write to now.
    pub(super) fn next(&mut self) -> &Sku {
        if !self.own.contains(&self.next) {
            self.next = self.own.start;
        }
        let sku = &self.skus[self.next];
        self.next += 1;
        sku
    }
}

/// What is written beside an event.
pub(super) fn metadata(event_id: Uuid) -> Metadata {
    Metadata {
        event_id,
        actor: ACTOR.to_owned(),
        correlation_id: event_id,
        causation_id: None,
        traceparent: None,
    }
}

/// The command of every case: one piece arrives.
pub(super) fn receive() -> StockCommand {
    let reason = Reason::parse("delivery").expect("a short line is a reason");
    StockCommand::Receive { quantity: 1, reason }
}

/// Stock items that commands are spread over, called after `name`.
pub(super) fn skus(name: &str) -> Arc<[Sku]> {
    numbered(name, SPREAD_OVER)
}

fn numbered(name: &str, count: usize) -> Arc<[Sku]> {
    (0..count).map(|index| sku(&format!("bench-{name}-{index}"))).collect()
}

fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("letters, digits and dashes are a SKU")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn written(load: Load, clients: u16, round: u32) -> Vec<HashSet<String>> {
        let skus = load.skus(clients, Rounds::of(3.0));
        let one_client = |mut targets: Targets| {
            targets.begin(round);
            (0..SPREAD_OVER).map(|_| targets.next().to_string()).collect()
        };
        load.targets(clients, &skus).map(one_client).collect()
    }

    #[test]
    fn spread_commands_never_meet() {
        for clients in [1, 3, 128, 1_000] {
            let shares = written(Load::Spread, clients, 0);
            let all: HashSet<_> = shares.iter().flatten().collect();
            assert_eq!(all.len(), shares.iter().map(HashSet::len).sum::<usize>());
        }
    }

    #[test]
    fn hot_commands_meet_on_one_stock_item_a_round() {
        for round in 0..3 {
            let all: HashSet<_> = written(Load::Hot, 5, round).into_iter().flatten().collect();
            assert_eq!(all, HashSet::from([format!("bench-5-{round}")]));
        }
    }
}
