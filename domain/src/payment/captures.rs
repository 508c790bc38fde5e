use super::{CAPTURED_LESS, CAPTURED_MORE, CAPTURED_OTHER_CURRENCY, PaymentEvent};
use crate::Money;
use serde::{Deserialize, Serialize};

/// What the provider took: one entry a currency, in the order of their codes.
///
/// At any time an entry's amount is what the order took of it and what is orphaned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Captures(Vec<Captured>);

/// What was taken in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// All of it.
    pub amount: Money,
    /// The part that no order waits for and that has to go back: in the same currency, at most all.
    pub orphaned: Money,
    /// Why there is such a part; absent when there is none.
    pub code: Option<String>,
}

impl Captures {
    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = &Captured> {
        self.0.iter()
    }

    /// Whether it is known already that at least this much was taken. Captures only grow, so of two
    /// sums the larger one is the newer, and the smaller one was overtaken on its way.
    #[must_use]
    pub fn has(&self, amount: Money) -> bool {
        self.iter().any(|known| known.amount.minus(amount).is_ok())
    }

    /// Whether the order took what was requested.
    #[must_use]
    pub fn pay(&self, requested: Money) -> bool {
        let kept = |known: &Captured| known.amount.minus(known.orphaned).ok();
        self.iter().filter_map(kept).any(|kept| covers(kept, requested))
    }

    /// What has to go back, at most one amount a currency, none of it zero.
    pub fn orphaned(&self) -> impl Iterator<Item = Money> + '_ {
        self.iter().map(|known| known.orphaned).filter(|orphaned| orphaned.amount_minor() > 0)
    }

    /// Decides about a sum that is not known yet: it is recorded as it is, the order takes what was
    /// requested or nothing, and the rest is orphaned in the same breath.
    pub(super) fn decide(
        amount: Money,
        requested: Money,
        refused: Option<String>,
    ) -> Vec<PaymentEvent> {
        let (orphaned, code) = match (amount.minus(requested), refused) {
            (Ok(excess), None) => (excess, CAPTURED_MORE.to_owned()),
            (Ok(_), Some(code)) => (amount, code),
            (Err(_), _) if amount.currency() == requested.currency() => {
                (amount, CAPTURED_LESS.to_owned())
            }
            (Err(_), _) => (amount, CAPTURED_OTHER_CURRENCY.to_owned()),
        };
        let mut events = vec![PaymentEvent::PaymentCaptured { amount }];
        if orphaned.amount_minor() > 0 {
            events.push(PaymentEvent::PaymentOrphaned { code, amount: Some(orphaned) });
        }
        events
    }

    /// `PaymentCaptured`: takes the place of what was said of the same currency before.
    pub fn apply_captured(&mut self, amount: Money) {
        let captured = Captured { amount, orphaned: Money::zero(amount.currency()), code: None };
        let currency = amount.currency();
        match self.0.binary_search_by_key(&currency, |known| known.amount.currency()) {
            Ok(known) => self.0[known] = captured,
            Err(place) => self.0.insert(place, captured),
        }
    }

    /// `PaymentOrphaned`: without an amount, as it was written once, all that was captured.
    pub fn apply_orphaned(&mut self, code: &str, amount: Option<Money>) {
        for known in &mut self.0 {
            let orphaned = amount.unwrap_or(known.amount);
            if orphaned.currency() == known.amount.currency() {
                known.orphaned = orphaned;
                known.code = Some(code.to_owned());
            }
        }
    }
}

/// Whether a capture of this amount pays what was requested.
#[must_use]
pub fn covers(captured: Money, requested: Money) -> bool {
    captured.minus(requested).is_ok()
}
