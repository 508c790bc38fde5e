//! What is said: one line a case, medians over the rounds.

use super::measure::{Measured, Round, median};
use super::testbed::Server;
use serde::Serialize;
use std::collections::BTreeMap;

/// Ratios of a case, by name.
pub(super) type Ratios = BTreeMap<String, f64>;

/// Prints each number of clients as soon as it is measured.
pub(super) struct Report {
    json: bool,
    durable: bool,
}

/// One case with one number of clients.
#[derive(Debug, Serialize)]
struct Line {
    case: &'static str,
    clients: usize,
    /// Events, or for `commit` commits.
    per_second: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    /// `vs_<anchor>`: how many times as fast as the anchor.
    #[serde(flatten)]
    ratios: Ratios,
    /// False where PostgreSQL does not flush, and the figures mean nothing beyond this run.
    durable: bool,
}

impl Report {
    pub(super) fn new(json: bool, server: &Server) -> Self {
        if !json {
            let flushes = if server.durable { "flushed to disk" } else { "NOT flushed to disk" };
            println!("PostgreSQL {}, every commit {flushes}\n", server.version);
            println!("case          clients  per second     p50 us     p99 us  ratios");
        }
        Self { json, durable: server.durable }
    }

    /// The cases of one number of clients, ours first, which is compared with the others.
    pub(super) fn add(&self, measured: &[Measured]) {
        for (index, one) in measured.iter().enumerate() {
            let ratios = if index == 0 { compared(one, &measured[1..]) } else { Ratios::new() };
            self.line(one, ratios);
        }
        self.gap();
    }

    /// One case.
    pub(super) fn line(&self, measured: &Measured, ratios: Ratios) {
        let line = Line::of(measured, ratios, self.durable);
        if self.json {
            println!("{}", serde_json::to_string(&line).expect("a line is plain data"));
        } else {
            println!("{}", line.row());
        }
    }

    /// What follows does not belong to what was said before.
    pub(super) fn gap(&self) {
        if !self.json {
            println!();
        }
    }
}

impl Line {
    fn of(measured: &Measured, ratios: Ratios, durable: bool) -> Self {
        let of = |value: fn(&Round) -> Option<f64>| {
            median(measured.rounds.iter().filter_map(value)).map(tenths)
        };
        Self {
            case: measured.case,
            clients: measured.clients,
            per_second: of(|round| Some(round.per_second)),
            p50_us: of(|round| round.p50_us),
            p99_us: of(|round| round.p99_us),
            ratios: ratios.into_iter().map(|(name, ratio)| (name, thousandths(ratio))).collect(),
            durable,
        }
    }

    fn row(&self) -> String {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        let ratios: Vec<_> =
            self.ratios.iter().map(|(name, ratio)| format!("{name} {ratio:.2}")).collect();
        format!(
            "{:<12} {:>8} {:>11} {:>10} {:>10}  {}",
            self.case,
            self.clients,
            number(self.per_second),
            number(self.p50_us),
            number(self.p99_us),
            ratios.join(", "),
        )
        .trim_end()
        .to_owned()
    }
}

/// `commit` is the disk and nothing that somebody else writes events with.
fn compared(ours: &Measured, anchors: &[Measured]) -> Ratios {
    let anchors = anchors.iter().filter(|anchor| anchor.case != "commit");
    let named = |anchor: &Measured| {
        Some((format!("vs_{}", anchor.case), ratio(&ours.rounds, &anchor.rounds)?))
    };
    anchors.filter_map(named).collect()
}

/// How many times as fast as the anchor, as the median over the rounds that ran side by side: what
/// slowed a whole turn down does not show. None if the anchor did nothing.
pub(super) fn ratio(ours: &[Round], anchor: &[Round]) -> Option<f64> {
    let pairs = ours.iter().zip(anchor).filter(|(_, anchor)| anchor.per_second > 0.0);
    median(pairs.map(|(ours, anchor)| ours.per_second / anchor.per_second))
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(case: &'static str, per_second: &[f64]) -> Measured {
        let rounds = per_second
            .iter()
            .map(|&per_second| Round { per_second, p50_us: Some(1e6 / per_second), p99_us: None })
            .collect();
        Measured { case, clients: 1, rounds }
    }

    #[test]
    fn ratios_compare_what_ran_side_by_side() {
        // The second turn had a tenth of the machine: the medians differ by 20, the pairs by 2.
        let ours = measured("append", &[200.0, 20.0, 210.0]);
        let anchors = [measured("insert", &[100.0, 10.0, 100.0]), measured("commit", &[1.0; 3])];
        let ratios = compared(&ours, &anchors);
        assert_eq!(ratios, Ratios::from([("vs_insert".to_owned(), 2.0)]));
        let line = Line::of(&ours, ratios, true);
        assert_eq!((line.per_second, line.p50_us), (Some(200.0), Some(5_000.0)));
        let json = serde_json::to_value(&line).expect("a line is plain data");
        assert_eq!(json["vs_insert"], 2.0);
    }

    #[test]
    fn an_anchor_that_did_nothing_gives_no_ratio() {
        assert_eq!(ratio(&measured("", &[1.0]).rounds, &measured("", &[0.0]).rounds), None);
    }
}
