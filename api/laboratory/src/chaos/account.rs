//! The aggregate that chaos writes to: an account whose events tell what their decision saw.
//!
//! Every decision has a mark of its own, also one that is decided again. So a checker that walks
//! through a stream sees whether each event was decided on exactly the event before it, and not on
//! one that had the same number and was refused.

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use domain::{Facts, Identified, Rejection, RejectionKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An account. `Default` is one that nobody moved anything on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// The state as the next decision sees it.
    pub(super) now: Saw,
}

/// What a decision saw of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub(super) struct Saw {
    /// The sequence of the last event; 0 when there was none.
    pub(super) sequence: u64,
    /// The mark of the last event.
    pub(super) mark: Option<String>,
    /// Never negative.
    pub(super) balance: i64,
}

/// Puts something in, or takes it out. An amount of nothing changes nothing and only looks.
#[derive(Debug, Clone)]
pub(super) struct Move {
    /// Added to the balance.
    pub(super) amount: i64,
    /// Where the decision gets its mark.
    pub(super) marks: Arc<Marks>,
}

/// Gives every decision of one process a mark that no other decision has.
#[derive(Debug)]
pub(super) struct Marks {
    process: String,
    given: AtomicU64,
}

impl Marks {
    /// Marks of the process that is called `process`; no other life of it is called so.
    pub(super) fn new(process: String) -> Self {
        Self { process, given: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{}-{}", self.process, self.given.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum AccountEvent {
    Moved(Moved),
}

/// Something was put in or taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Moved {
    /// Of this decision alone.
    pub(super) mark: String,
    /// Added to the balance.
    pub(super) amount: i64,
    /// What the decision was made on.
    pub(super) saw: Saw,
}

domain::event_types!(AccountEvent { Moved: 1 });

/// There is less on the account than was to be taken out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the account holds {} and {amount} was to be moved", saw.balance)]
pub(super) struct Overdrawn {
    /// What the refusal was decided on.
    pub(super) saw: Saw,
    /// What was asked for.
    pub(super) amount: i64,
}

impl Rejection for Overdrawn {
    fn code(&self) -> &'static str {
        "overdrawn"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }

    fn extra(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.saw).ok()
    }
}

impl Identified for Account {
    type Id = str;
}

impl Aggregate for Account {
    const TYPE: &'static str = "chaos_account";
    type Command = Move;
    type Event = AccountEvent;
    type Error = Overdrawn;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: Move,
        _facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), Overdrawn> {
        let (amount, saw) = (command.amount, self.now.clone());
        if saw.balance + amount < 0 {
            return Err(Overdrawn { saw, amount });
        }
        if amount != 0 {
            let moved = Moved { mark: command.marks.next(), amount, saw };
            sink.write(AccountEvent::Moved(moved), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        let AccountEvent::Moved(moved) = event;
        self.now.sequence += 1;
        self.now.mark = Some(moved.mark);
        self.now.balance += moved.amount;
    }
}
