//! `gomall bench growth`: what appending and loading cost when the journal is long, compared with one
//! that began empty beside it.
//!
//! Both journals are used while they are empty, so that every connection has prepared its statements
//! and chosen its plans there. Then one is filled, and they take turns.

use super::bus::Ours;
use super::history;
use super::measure::{Fleet, Measured, Rounds, take_turns};
use super::report::{Ratios, Report, ratio};
use super::targets::{Load, skus};
use super::testbed::Testbed;

/// Commands, and loads, in flight.
const CLIENTS: u16 = 32;

/// What the long journal's cases are called, and the other one's.
const APPEND: [&str; 2] = ["append", "append_short"];
const LOAD: [&str; 2] = ["load", "load_short"];

/// Measures `long`, whose journal gets `events` events more, beside a journal that does not.
pub(super) async fn measure(
    long: &Ours,
    testbed: &Testbed,
    rounds: Rounds,
    events: u64,
    report: &Report,
) -> anyhow::Result<()> {
    let short = Ours::start(testbed.database_beside()).await?;
    let mut cases = Vec::new();
    for (index, shop) in [long, &short].into_iter().enumerate() {
        let [written, loaded] = ["written", "loaded"].map(skus);
        for skus in [&written, &loaded] {
            shop.open(skus).await?;
        }
        let appending = Load::Spread.targets(CLIENTS, &written).map(|to| shop.client(to)).collect();
        let loading = Load::Spread.targets(CLIENTS, &loaded).map(|to| shop.loader(to)).collect();
        cases.push(Fleet::boxed(APPEND[index], appending));
        cases.push(Fleet::boxed(LOAD[index], loading));
    }
    take_turns(&mut cases, Rounds { count: 1, ..rounds }).await?;
    eprintln!("{events} events are added …");
    history::load(testbed.database(), events).await?;
    let measured = take_turns(&mut cases, rounds).await?;
    say(report, &measured);
    drop(cases);
    short.stop().await;
    Ok(())
}

fn say(report: &Report, measured: &[Measured]) {
    let (long, short) = measured.split_at(measured.len() / 2);
    for (long, short) in long.iter().zip(short) {
        let cost = cost(long, short).map(|cost| ("cost_vs_short".to_owned(), cost));
        report.line(long, cost.into_iter().collect());
        report.line(short, Ratios::new());
    }
    report.gap();
}

/// What one operation costs with the long journal, in units of what it costs with the short one.
fn cost(long: &Measured, short: &Measured) -> Option<f64> {
    ratio(&short.rounds, &long.rounds)
}

#[cfg(test)]
mod tests {
    use super::super::measure::Round;
    use super::*;

    fn measured(per_second: [f64; 3]) -> Measured {
        let round = |per_second| Round { per_second, p50_us: None, p99_us: None };
        Measured { case: "", clients: 1, rounds: per_second.map(round).to_vec() }
    }

    #[test]
    fn half_as_fast_costs_double_whatever_the_machine_does_meanwhile() {
        let short = measured([1_000.0, 200.0, 600.0]);
        assert_eq!(cost(&measured([500.0, 100.0, 300.0]), &short), Some(2.0));
        assert_eq!(cost(&short, &short), Some(1.0));
    }
}
