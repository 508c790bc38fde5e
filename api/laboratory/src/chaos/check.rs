//! Whether a history is one that cannot be told from a perfect one: nothing lost, nothing doubled,
//! nothing reordered, nothing by halves.
//!
//! Pure: what was recorded goes in, what is wrong comes out. Each rule is a function that reads the
//! [`Evidence`]; the next one is a function and a line in [`violations`].

mod decisions;
mod order;
mod requests;
#[cfg(test)]
mod tests;

use super::account::Moved;
use super::history::{Line, Seen};
use std::collections::HashMap;
use std::fmt;
use uuid::Uuid;

/// An event as the journal holds it, as far as it can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) position: u64,
    /// `<aggregate type>/<aggregate id>`.
    pub(super) stream: String,
    pub(super) sequence: u64,
    pub(super) event_id: Uuid,
    /// The operation that it belongs to; none for events that are not of a worker's operation.
    pub(super) op: Option<u64>,
    /// What it tells of its decision, if it is one of an account.
    pub(super) moved: Option<Moved>,
    /// Microseconds since 1970.
    pub(super) recorded_at_us: i64,
}

/// What is recorded under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) key: Uuid,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A message of the stream that the journal is published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sequence: u64,
    pub(super) event_id: Uuid,
}

/// Everything that was recorded of one cycle.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The journal, in order of position.
    pub(super) journal: Vec<Row>,
    /// The outcomes of keys, in no order.
    pub(super) outcomes: Vec<Outcome>,
    /// What the clients of each working process wrote down.
    pub(super) histories: Vec<Vec<Line>>,
    /// What each follower of the tail wrote down.
    pub(super) tails: Vec<Vec<Seen>>,
    /// The published stream, in order; none where nothing is published.
    pub(super) stream: Option<Vec<Message>>,
    /// What others found: tables, mails, connections.
    pub(super) found: Vec<Violation>,
}

/// Something that must never happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// The rule that is broken.
    pub(super) rule: &'static str,
    /// By what.
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Where the rules put what they find.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: &'static str, what: impl Into<String>) {
        self.0.push(Violation { rule, what: what.into() });
    }
}

/// What is wrong with the evidence; nothing, if all is well.
pub(super) fn violations(evidence: &Evidence) -> Vec<Violation> {
    let mut findings = Findings(evidence.found.clone());
    let book = Book::of(&evidence.journal);
    order::of_the_journal(&evidence.journal, &mut findings);
    order::of_the_tails(evidence, &mut findings);
    order::of_the_stream(evidence, &mut findings);
    requests::effects(evidence, &book, &mut findings);
    requests::keys(evidence, &book, &mut findings);
    requests::real_time(evidence, &mut findings);
    decisions::on_the_event_before(&book, &mut findings);
    decisions::that_changed_nothing(evidence, &book, &mut findings);
    findings.0
}

/// What is wrong with a copy of the journal that was made a moment earlier.
pub(super) fn copies(journal: &[Row], stream: Vec<Message>) -> Vec<Violation> {
    let journal = journal.iter().take(stream.len()).cloned().collect();
    let evidence = Evidence { journal, stream: Some(stream), ..Evidence::default() };
    let mut findings = Findings::default();
    order::of_the_stream(&evidence, &mut findings);
    findings.0
}

/// The journal by stream and by operation.
struct Book<'a> {
    streams: HashMap<&'a str, Vec<&'a Row>>,
    operations: HashMap<u64, Vec<&'a Row>>,
}

impl<'a> Book<'a> {
    fn of(journal: &'a [Row]) -> Self {
        let mut book = Self { streams: HashMap::new(), operations: HashMap::new() };
        for row in journal {
            book.streams.entry(&row.stream).or_default().push(row);
            if let Some(op) = row.op {
                book.operations.entry(op).or_default().push(row);
            }
        }
        book
    }
}
