//! Does everybody see the same events, each once and in the same order?

use super::{Evidence, Findings, Row};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Positions are 1, 2, 3, …; so are the sequences of every stream; ids are unique; time never goes
/// back.
pub(super) fn of_the_journal(journal: &[Row], findings: &mut Findings) {
    let (mut ids, mut sequences) = (HashSet::new(), HashMap::<&str, u64>::new());
    let mut recorded_at_us = i64::MIN;
    for (expected, row) in (1_u64..).zip(journal) {
        if row.position != expected {
            findings
                .add("positions", format!("position {} where {expected} belongs", row.position));
            return;
        }
        if !ids.insert(row.event_id) {
            findings
                .add("event ids", format!("{} stands at position {expected} again", row.event_id));
        }
        let sequence = sequences.entry(&row.stream).or_default();
        *sequence += 1;
        if row.sequence != *sequence {
            let Row { stream, sequence: found, .. } = row;
            findings.add("sequences", format!("{stream} has {found} where {sequence} belongs"));
        }
        if row.recorded_at_us < recorded_at_us {
            findings.add("time", format!("position {expected} is older than the one before"));
        }
        recorded_at_us = row.recorded_at_us;
    }
}

/// Who follows the tail sees every event once, in order.
pub(super) fn of_the_tails(evidence: &Evidence, findings: &mut Findings) {
    for tail in &evidence.tails {
        let seen = tail.iter().map(|seen| (seen.position, seen.event_id));
        compare("tail", &evidence.journal, seen, findings);
    }
}

/// Message n of the stream is event n.
pub(super) fn of_the_stream(evidence: &Evidence, findings: &mut Findings) {
    if let Some(stream) = &evidence.stream {
        let messages = stream.iter().map(|message| (message.sequence, message.event_id));
        compare("stream", &evidence.journal, messages, findings);
    }
}

/// Names the first difference; those that follow are its consequences.
fn compare(
    rule: &'static str,
    journal: &[Row],
    copy: impl Iterator<Item = (u64, Uuid)>,
    findings: &mut Findings,
) {
    let mut copied = 0;
    let mut journal = journal.iter();
    for (position, event_id) in copy {
        copied += 1;
        match journal.next() {
            Some(row) if (row.position, row.event_id) == (position, event_id) => {}
            Some(row) => {
                let expected = format!("{} ({})", row.position, row.event_id);
                findings.add(rule, format!("{position} ({event_id}) where {expected} belongs"));
                return;
            }
            None => {
                findings.add(rule, format!("{position} ({event_id}) is not in the journal"));
                return;
            }
        }
    }
    let missing = journal.len();
    if missing > 0 {
        findings.add(rule, format!("ends after {copied} events; {missing} are missing"));
    }
}
