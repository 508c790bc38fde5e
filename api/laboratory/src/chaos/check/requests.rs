//! Did every request have its effect, once and whole, and was its client told the truth?

use super::super::account::{Account, Saw};
use super::super::history::{Leg, Line};
use super::{Book, Evidence, Findings, Row};
use cqrs_es::Aggregate as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// What all clients together know of an operation.
#[derive(Default)]
struct Known<'a> {
    key: Option<Uuid>,
    legs: &'a [Leg],
    done: HashSet<(u64, u64)>,
    nothing: HashSet<&'a Saw>,
    unanswered: i64,
    unknown: bool,
}

fn known(evidence: &Evidence) -> BTreeMap<u64, Known<'_>> {
    let mut operations = BTreeMap::<u64, Known<'_>>::new();
    for line in evidence.histories.iter().flatten() {
        match line {
            Line::Began { op, key, legs } => {
                let operation = operations.entry(*op).or_default();
                (operation.key, operation.legs) = (*key, legs);
                operation.unanswered += 1;
            }
            Line::Done { op, first, last, .. } => {
                let operation = operations.entry(*op).or_default();
                operation.done.insert((*first, *last));
                operation.unanswered -= 1;
            }
            Line::Nothing { op, saw, .. } => {
                let operation = operations.entry(*op).or_default();
                operation.nothing.insert(saw);
                operation.unanswered -= 1;
            }
            Line::Refused { op, .. } | Line::Absent { op } => {
                operations.entry(*op).or_default().unanswered -= 1;
            }
            Line::Unknown { op } => operations.entry(*op).or_default().unknown = true,
        }
    }
    operations
}

/// An acknowledged operation is in the journal where its client was told, whole and once; one that
/// is not known to be done is there whole and once or not at all; nothing else is there.
pub(super) fn effects(evidence: &Evidence, book: &Book<'_>, findings: &mut Findings) {
    let operations = known(evidence);
    for (op, operation) in &operations {
        let rows = book.operations.get(op).map_or(&[][..], Vec::as_slice);
        let place = rows.first().zip(rows.last()).map(|(a, b)| (a.position, b.position));
        for told in &operation.done {
            if place != Some(*told) {
                let what =
                    format!("operation {op} was acknowledged at {told:?}, it is at {place:?}");
                findings.add("acknowledged is stored", what);
            }
        }
        if rows.is_empty() {
            continue;
        }
        if operation.done.is_empty() && operation.unanswered <= 0 && !operation.unknown {
            let what = format!("operation {op} was answered as not done, it is at {place:?}");
            findings.add("not done is not stored", what);
        }
        if !is_whole(rows, operation.legs) {
            let what = format!(
                "operation {op} is in {} events at {place:?}: {:?}",
                rows.len(),
                operation.legs
            );
            findings.add("whole and once", what);
        }
    }
    for op in book.operations.keys().filter(|op| !operations.contains_key(op)) {
        findings.add("not done is not stored", format!("nobody asked for operation {op}"));
    }
}

/// Whether the events are those of the legs, one each, side by side and in their order.
fn is_whole(rows: &[&Row], legs: &[Leg]) -> bool {
    let side_by_side = rows.windows(2).all(|pair| pair[0].position + 1 == pair[1].position);
    let same = rows.iter().zip(legs).all(|(row, leg)| match leg {
        Leg::Move { account, amount } => {
            row.stream == format!("{}/{account}", Account::TYPE)
                && row.moved.as_ref().is_some_and(|moved| moved.amount == *amount)
        }
        Leg::Receive { sku } => row.stream == format!("stock/{sku}"),
    });
    rows.len() == legs.len() && side_by_side && same
}

/// A key has one outcome, and it is that of its operation's events. That an operation had nothing to
/// do is kept with a first position behind the last one, and told to everybody alike.
pub(super) fn keys(evidence: &Evidence, book: &Book<'_>, findings: &mut Findings) {
    let mut recorded = HashMap::new();
    for outcome in &evidence.outcomes {
        if recorded.insert(outcome.key, (outcome.first, outcome.last)).is_some() {
            findings.add("one outcome a key", format!("{} has two outcomes", outcome.key));
        }
    }
    for (op, operation) in known(evidence) {
        let Some(key) = operation.key else { continue };
        let rows = book.operations.get(&op).map_or(&[][..], Vec::as_slice);
        let place = rows.first().zip(rows.last()).map(|(a, b)| (a.position, b.position));
        let outcome = recorded.get(&key).copied().filter(|(first, last)| first <= last);
        if outcome != place {
            let what = format!("operation {op} is at {place:?}, its key says {outcome:?}");
            findings.add("one outcome a key", what);
        }
        if operation.nothing.len() > usize::from(operation.done.is_empty()) {
            let what = format!("operation {op} had nothing to do on {:?}", operation.nothing);
            findings.add("one outcome a key", what);
        }
    }
}

/// What is asked for after an answer comes after it in the journal.
pub(super) fn real_time(evidence: &Evidence, findings: &mut Findings) {
    for history in &evidence.histories {
        let (mut acknowledged, mut asked) = (0, HashMap::new());
        for line in history {
            match line {
                // The first time counts: a later one may find what an earlier one did.
                Line::Began { op, .. } => {
                    asked.entry(*op).or_insert(acknowledged);
                }
                Line::Done { op, first, last, replayed } => {
                    if let Some(floor) = asked.get(op)
                        && !replayed
                        && first <= floor
                    {
                        let what = format!("operation {op} is at {first}, {floor} was told before");
                        findings.add("real time", what);
                    }
                    acknowledged = acknowledged.max(*last);
                }
                Line::Nothing { .. }
                | Line::Refused { .. }
                | Line::Absent { .. }
                | Line::Unknown { .. } => {}
            }
        }
    }
}
