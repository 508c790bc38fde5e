//! `gomall bench growth`: what appending and loading cost when the journal is long, compared with
//! when it was empty, on connections that were opened on the empty table.
//!
//! Filling takes minutes, and the machine's mood may change meanwhile. So an anchor that does not
//! grow runs beside each case both times, and what is compared is the ratio to it.

use super::bus::Ours;
use super::measure::{Case, Fleet, Measured, Rounds, take_turns};
use super::report::{Ratios, Report, ratio};
use super::targets::{Load, skus};
use super::{history, sql};
use sqlx::postgres::PgConnectOptions;

/// Commands, and loads, in flight.
const CLIENTS: u16 = 32;

/// Measures, adds `events` events, and measures again.
pub(super) async fn measure(
    ours: &Ours,
    database: &PgConnectOptions,
    rounds: Rounds,
    events: u64,
    report: &Report,
) -> anyhow::Result<()> {
    let mut cases = cases(ours, database).await?;
    let short = take_turns(&mut cases, rounds).await?;
    say(report, &short, |_| Ratios::new());
    eprintln!("{events} events are added …");
    history::load(database, events).await?;
    let long = take_turns(&mut cases, rounds).await?;
    say(report, &long, |index| {
        let cost = cost(&short[index..index + 2], &long[index..index + 2]);
        cost.map(|cost| ("cost_vs_short".to_owned(), cost)).into_iter().collect()
    });
    Ok(())
}

/// Ours and its anchor, twice: for writing and for reading.
async fn cases(ours: &Ours, database: &PgConnectOptions) -> anyhow::Result<Vec<Box<dyn Case>>> {
    let [written, loaded] = ["written", "loaded"].map(skus);
    for skus in [&written, &loaded] {
        ours.open(skus).await?;
    }
    let appending = Load::Spread.targets(CLIENTS, &written).map(|to| ours.client(to)).collect();
    let loading = Load::Spread.targets(CLIENTS, &loaded).map(|to| ours.loader(to)).collect();
    Ok(vec![
        Fleet::boxed("append", appending),
        Fleet::boxed("insert", sql::inserters(database, CLIENTS).await?),
        Fleet::boxed("load", loading),
        Fleet::boxed("lookup", sql::lookups(database, CLIENTS).await?),
    ])
}

fn say(report: &Report, measured: &[Measured], ratios: impl Fn(usize) -> Ratios) {
    for (index, one) in measured.iter().enumerate() {
        let is_ours = index % 2 == 0;
        report.line(one, if is_ours { ratios(index) } else { Ratios::new() });
    }
    report.gap();
}

/// What one operation costs now, in units of what it cost then; 1 is the same.
fn cost(short: &[Measured], long: &[Measured]) -> Option<f64> {
    let against = |pair: &[Measured]| ratio(&pair[0].rounds, &pair[1].rounds);
    Some(against(short)? / against(long)?)
}

#[cfg(test)]
mod tests {
    use super::super::measure::Round;
    use super::*;

    fn measured(per_second: f64) -> Measured {
        let round = Round { per_second, p50_us: None, p99_us: None };
        Measured { case: "", clients: 1, rounds: vec![round; 3] }
    }

    #[test]
    fn a_slower_machine_is_no_higher_cost() {
        let short = [measured(1_000.0), measured(500.0)];
        assert_eq!(cost(&short, &[measured(100.0), measured(50.0)]), Some(1.0));
        assert_eq!(cost(&short, &[measured(500.0), measured(500.0)]), Some(2.0));
    }
}
