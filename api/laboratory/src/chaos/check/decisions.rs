//! Was every decision made on a state that was?

use super::super::account::{Account, Saw};
use super::super::history::{Leg, Line};
use super::{Book, Evidence, Findings, Row};
use cqrs_es::Aggregate as _;
use std::collections::HashMap;

/// Each event was decided on exactly the event before it in its stream, and no balance is negative.
pub(super) fn on_the_event_before(book: &Book<'_>, findings: &mut Findings) {
    for (stream, rows) in accounts(book) {
        let mut before = Saw::default();
        for row in rows {
            let Some(moved) = &row.moved else {
                findings.add("decisions", format!("position {} cannot be read", row.position));
                break;
            };
            if moved.saw != before {
                let (at, saw) = (row.position, &moved.saw);
                let what =
                    format!("position {at} of {stream} saw {saw:?}, and there was {before:?}");
                findings.add("decisions", what);
            }
            before = after(row).unwrap_or(before);
            if before.balance < 0 {
                findings.add("decisions", format!("{stream} is overdrawn at {}", row.position));
            }
        }
    }
}

/// A refusal, or an answer that nothing was to be done, was given on a state that was, and on none
/// that was over before the client asked.
pub(super) fn that_changed_nothing(evidence: &Evidence, book: &Book<'_>, findings: &mut Findings) {
    for history in &evidence.histories {
        let (mut acknowledged, mut asked) = (0, HashMap::new());
        for line in history {
            match line {
                Line::Began { op, legs, .. } => {
                    asked.insert(*op, (acknowledged, legs));
                }
                Line::Done { last, .. } => acknowledged = acknowledged.max(*last),
                Line::Nothing { op, saw, replayed } => {
                    let Some((floor, legs)) = asked.get(op) else { continue };
                    let account = legs.iter().find_map(|leg| account_of(leg, |_| true));
                    // A first outcome may be older than the question, and another client's.
                    let floor = if *replayed { 0 } else { *floor };
                    was_there(book, *op, account, saw, floor, findings);
                }
                Line::Refused { op, saw } => {
                    let Some((floor, legs)) = asked.get(op) else { continue };
                    let refused = |amount| saw.balance + amount < 0;
                    let account = legs.iter().find_map(|leg| account_of(leg, refused));
                    if account.is_none() {
                        findings.add("refusals", format!("operation {op} was refused on {saw:?}"));
                        continue;
                    }
                    was_there(book, *op, account, saw, *floor, findings);
                }
                Line::Absent { .. } | Line::Unknown { .. } => {}
            }
        }
    }
}

fn account_of(leg: &Leg, wanted: impl Fn(i64) -> bool) -> Option<&str> {
    match leg {
        Leg::Move { account, amount } if wanted(*amount) => Some(account),
        _ => None,
    }
}

fn was_there(
    book: &Book<'_>,
    op: u64,
    account: Option<&str>,
    saw: &Saw,
    floor: u64,
    findings: &mut Findings,
) {
    let stream = format!("{}/{}", Account::TYPE, account.unwrap_or_default());
    let rows = book.streams.get(stream.as_str()).map_or(&[][..], Vec::as_slice);
    let index = usize::try_from(saw.sequence).unwrap_or(usize::MAX);
    let then = match index.checked_sub(1) {
        None => Some(Saw::default()),
        Some(last) => rows.get(last).and_then(|row| after(row)),
    };
    if then.as_ref() != Some(saw) {
        findings.add("refusals", format!("operation {op} saw {saw:?} of {stream}: {then:?}"));
    }
    let known = rows.partition_point(|row| row.position <= floor);
    if index < known {
        let what =
            format!("operation {op} saw {index} events of {stream}, {known} were acknowledged");
        findings.add("stale answers", what);
    }
}

/// The account right after the event.
fn after(row: &Row) -> Option<Saw> {
    let moved = row.moved.as_ref()?;
    Some(Saw {
        sequence: row.sequence,
        mark: Some(moved.mark.clone()),
        balance: moved.saw.balance + moved.amount,
    })
}

fn accounts<'a, 'b>(
    book: &'b Book<'a>,
) -> impl Iterator<Item = (&'b &'a str, &'b Vec<&'a Row>)> + use<'a, 'b> {
    book.streams.iter().filter(|(stream, _)| {
        stream.split_once('/').is_some_and(|(aggregate_type, _)| aggregate_type == Account::TYPE)
    })
}
