//! What is said: one line a case, medians over the rounds.

use super::measure::{Measured, Round, median};
use super::place::Server;
use serde::Serialize;

/// Prints each number of clients as soon as it is measured.
pub(super) struct Report {
    json: bool,
    durable: bool,
}

/// One case with one number of clients.
#[derive(Debug, Serialize)]
struct Line {
    /// `append` and `hot` are ours; the others are the anchors. `commit` is the disk.
    case: &'static str,
    clients: usize,
    /// Events, or for `commit` commits.
    per_second: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vs_postgres_es: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vs_insert: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vs_bulk: Option<f64>,
    /// False where PostgreSQL does not flush, and the figures mean nothing beyond this run.
    durable: bool,
}

impl Report {
    pub(super) fn new(json: bool, server: &Server) -> Self {
        if !json {
            let flushes = if server.durable { "flushed to disk" } else { "NOT flushed to disk" };
            println!("PostgreSQL {}, every commit {flushes}\n", server.version);
            println!(
                "{:<12} {:>7} {:>11} {:>9} {:>9} {:>15} {:>10} {:>8}",
                "case",
                "clients",
                "per second",
                "p50 us",
                "p99 us",
                "vs postgres_es",
                "vs insert",
                "vs bulk"
            );
        }
        Self { json, durable: server.durable }
    }

    /// The cases of one number of clients, ours first.
    pub(super) fn add(&self, measured: &[Measured]) {
        for line in lines(measured, self.durable) {
            if self.json {
                println!("{}", serde_json::to_string(&line).expect("a line is plain data"));
            } else {
                println!("{}", line.row());
            }
        }
        if !self.json {
            println!();
        }
    }
}

impl Line {
    fn row(&self) -> String {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        let ratio = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        format!(
            "{:<12} {:>7} {:>11} {:>9} {:>9} {:>15} {:>10} {:>8}",
            self.case,
            self.clients,
            number(self.per_second),
            number(self.p50_us),
            number(self.p99_us),
            ratio(self.vs_postgres_es),
            ratio(self.vs_insert),
            ratio(self.vs_bulk),
        )
        .trim_end()
        .to_owned()
    }
}

fn lines(measured: &[Measured], durable: bool) -> Vec<Line> {
    let Some(ours) = measured.first() else { return vec![] };
    let against = |anchor: &str| {
        let anchor = measured.iter().skip(1).find(|one| one.case == anchor)?;
        ratio(&ours.rounds, &anchor.rounds)
    };
    let line = |index: usize, one: &Measured| {
        let ours = index == 0;
        let of = |value: fn(&Round) -> Option<f64>| {
            median(one.rounds.iter().filter_map(value)).map(tenths)
        };
        Line {
            case: one.case,
            clients: one.clients,
            per_second: of(|round| Some(round.per_second)),
            p50_us: of(|round| round.p50_us),
            p99_us: of(|round| round.p99_us),
            vs_postgres_es: against("postgres_es").filter(|_| ours),
            vs_insert: against("insert").filter(|_| ours),
            vs_bulk: against("bulk").filter(|_| ours),
            durable,
        }
    };
    measured.iter().enumerate().map(|(index, one)| line(index, one)).collect()
}

/// How many times as fast as the anchor, as the median over the rounds that ran side by side: what
/// slowed a whole turn down does not show. None if the anchor did nothing.
fn ratio(ours: &[Round], anchor: &[Round]) -> Option<f64> {
    let pairs = ours.iter().zip(anchor).filter(|(_, anchor)| anchor.per_second > 0.0);
    median(pairs.map(|(ours, anchor)| ours.per_second / anchor.per_second))
        .map(|ratio| (ratio * 1_000.0).round() / 1_000.0)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
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
        let anchor = measured("insert", &[100.0, 10.0, 100.0]);
        let lines = lines(&[ours, anchor], true);
        assert_eq!(lines[0].vs_insert, Some(2.0));
        assert_eq!((lines[0].per_second, lines[0].p50_us), (Some(200.0), Some(5_000.0)));
        assert_eq!(lines[0].vs_bulk, None, "it was not measured");
        assert_eq!(lines[1].vs_insert, None, "anchors are not compared");
    }

    #[test]
    fn an_anchor_that_did_nothing_gives_no_ratio() {
        assert_eq!(ratio(&measured("", &[1.0]).rounds, &measured("", &[0.0]).rounds), None);
    }
}
