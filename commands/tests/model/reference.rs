//! The reference: the same aggregates in memory, changed by nothing but the journal's events one
//! after the other, and asked what they would have decided at any position.

use super::script::SKUS;
use commands::bus::VersionConflict;
use cqrs_es::{Aggregate, DomainEvent};
use domain::stock::{StockCommand, StockItem};
use domain::{Facts, RecordedEvent, Rejection, Timestamp, encode_event};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An aggregate as it was at some position.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) state: StockItem,
    pub(crate) sequence: u64,
    pub(crate) head: Option<Uuid>,
}

/// What a call asked for, with everything that was looked up for it.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Index of the SKU, the command, and the version that it insists on.
    pub(crate) steps: Vec<(usize, StockCommand, Option<u64>)>,
    pub(crate) unchanged: Vec<(usize, Option<Uuid>)>,
}

/// What is right at one position.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Index of the SKU, sequence, type and payload of each event.
    Events(Vec<(usize, u64, String, String)>),
    Refused(Vec<String>),
    /// What was to be unchanged is not what the call saw.
    Changed,
}

/// Every state that ever was: by SKU, after the event at each position.
#[derive(Default)]
pub(crate) struct Reference([Vec<(u64, Seen)>; SKUS.len()]);

impl Reference {
    /// Applies the journal's next event; says what is wrong with it.
    pub(crate) fn apply(&mut self, event: &RecordedEvent) -> Result<(), String> {
        let item = item_of(event);
        let mut seen = self.at(item, u64::MAX);
        if event.sequence != seen.sequence + 1 {
            return Err(format!("sequence {} follows {}", event.sequence, seen.sequence));
        }
        seen.state.apply(event.decode().map_err(|error| error.to_string())?);
        (seen.sequence, seen.head) = (event.sequence, Some(event.event_id));
        let oversold = seen.state.reserved > seen.state.on_hand;
        self.0[item].push((event.position.get(), seen));
        if oversold { Err("more is reserved than there is".to_owned()) } else { Ok(()) }
    }

    /// The aggregate right after the event at `position`.
    pub(crate) fn at(&self, item: usize, position: u64) -> Seen {
        let count = self.0[item].partition_point(|(at, _)| *at <= position);
        count.checked_sub(1).map(|last| self.0[item][last].1.clone()).unwrap_or_default()
    }

    /// What was right for the call right after the event at `position`.
    pub(crate) fn verdict(&self, asked: &Asked, position: u64) -> Verdict {
        if asked.unchanged.iter().any(|(item, head)| self.at(*item, position).head != *head) {
            return Verdict::Changed;
        }
        let mut newest: BTreeMap<usize, Seen> = BTreeMap::new();
        let (mut events, mut refusals) = (vec![], vec![]);
        for (item, command, version) in &asked.steps {
            let seen = newest.entry(*item).or_insert_with(|| self.at(*item, position));
            if version.is_some_and(|version| version != seen.sequence) {
                refusals.push(refusal(&VersionConflict { current: seen.sequence }));
                continue;
            }
            match seen.state.decide(command.clone(), &Facts { now: Timestamp::EPOCH }) {
                Ok(decided) => {
                    for event in decided {
                        seen.sequence += 1;
                        let payload = encode_event(&event).expect("events are plain data");
                        events.push((*item, seen.sequence, event.event_type(), payload));
                        seen.state.apply(event);
                    }
                }
                Err(rejection) => refusals.push(refusal(&rejection)),
            }
        }
        if refusals.is_empty() { Verdict::Events(events) } else { Verdict::Refused(refusals) }
    }
}

/// The text holds the figures that it was decided on.
pub(crate) fn refusal(rejection: &dyn Rejection) -> String {
    format!("{}: {rejection}", rejection.code())
}

pub(crate) fn item_of(event: &RecordedEvent) -> usize {
    let item = SKUS.iter().position(|sku| *sku == event.aggregate_id);
    item.expect("nobody asked for another stream")
}
