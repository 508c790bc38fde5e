//! Which aggregates are written to: stock items, each command books one piece in.

use super::measure::Rounds;
use domain::stock::StockCommand;
use domain::{Reason, Sku};
use std::sync::Arc;

/// Stock items that commands are spread over: far more than commands are in flight, few enough
/// that every case has seen each of them.
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
        (0..count).map(|index| sku(&format!("bench-{clients}-{index}"))).collect()
    }

    /// The targets of each client.
    pub(super) fn targets(
        self,
        clients: u16,
        skus: &Arc<[Sku]>,
    ) -> impl Iterator<Item = Targets> + use<> {
        let skus = Arc::clone(skus);
        (0..clients).map(move |client| {
            let skus = Arc::clone(&skus);
            let (next, step) = match self {
                Self::Spread => (usize::from(client), usize::from(clients)),
                Self::Hot => (0, 0),
            };
            Targets { skus, next, step, load: self }
        })
    }
}

/// One client's targets, one after the other.
pub(super) struct Targets {
    skus: Arc<[Sku]>,
    next: usize,
    step: usize,
    load: Load,
}

impl Targets {
    /// Another round begins.
    pub(super) fn begin(&mut self, round: u32) {
        if self.load == Load::Hot {
            self.next = round as usize;
        }
    }

    /// The stock item to write to now.
    pub(super) fn next(&mut self) -> &Sku {
        let index = self.next % self.skus.len();
        self.next = index + self.step;
        &self.skus[index]
    }
}

/// The command of every case: one piece arrives.
pub(super) fn receive() -> StockCommand {
    let reason = Reason::parse("delivery").expect("a short line is a reason");
    StockCommand::Receive { quantity: 1, reason }
}

fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("letters, digits and dashes are a SKU")
}
