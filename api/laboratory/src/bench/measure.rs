//! Rounds: every case under load in turn, and what is kept of it.

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The longest round: short enough that the cases of a turn share the machine's weather.
const LONGEST_ROUND: Duration = Duration::from_secs(1);

/// The fewest rounds that have a median worth the name.
const FEWEST_ROUNDS: u32 = 3;

/// The part of a round before anything is counted, in which clients come into step and statements
/// are prepared.
const LEAD_IN: f64 = 0.15;

/// How much longer than its length a round may take before the run is given up: a database that
/// hangs must not make a benchmark hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// One client of one case, with whatever it keeps from one write to the next.
pub(super) trait Client: Send + 'static {
    /// Called before each round, counted from 0; the rounds of all cases have the same numbers.
    fn begin(&mut self, round: u32) {
        let _ = round;
    }

    /// Writes once and returns how many events are durable by that. 0 when it was given up,
    /// which is allowed only after `until`.
    fn write(&mut self, until: Instant) -> impl Future<Output = anyhow::Result<u32>> + Send;
}

/// Clients of one kind, of any kind.
pub(super) trait Case: Send {
    /// What it is called in the report.
    fn name(&self) -> &'static str;

    /// How many clients there are.
    fn clients(&self) -> usize;

    /// Puts the clients under load for `length` and reports on it.
    fn round(&mut self, round: u32, length: Duration) -> BoxFuture<'_, anyhow::Result<Round>>;
}

/// How many rounds, and how long each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    pub(super) count: u32,
    pub(super) length: Duration,
}

impl Rounds {
    /// Rounds that take `seconds` together.
    pub(super) fn of(seconds: f64) -> Self {
        let whole = Duration::from_secs_f64(seconds);
        let fitting = whole.as_millis().div_ceil(LONGEST_ROUND.as_millis());
        let count = u32::try_from(fitting).unwrap_or(u32::MAX).max(FEWEST_ROUNDS);
        Self { count, length: whole / count }
    }
}

/// What one round of one case gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Round {
    /// Events that became durable, or were read or copied, in a second.
    pub(super) per_second: f64,
    /// Half of the writes took at most this long, in microseconds; none when none came to an end.
    pub(super) p50_us: Option<f64>,
    /// 99 of 100 writes took at most this long, in microseconds.
    pub(super) p99_us: Option<f64>,
}

/// A case with all its rounds; rounds of the same index ran side by side.
pub(super) struct Measured {
    pub(super) case: &'static str,
    pub(super) clients: usize,
    pub(super) rounds: Vec<Round>,
}

/// Lets the cases take turns. Who begins changes from turn to turn, so that nobody always comes
/// after the same neighbour.
pub(super) async fn take_turns(
    cases: &mut [Box<dyn Case>],
    rounds: Rounds,
) -> anyhow::Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = cases
        .iter()
        .map(|case| Measured { case: case.name(), clients: case.clients(), rounds: vec![] })
        .collect();
    for round in 0..rounds.count {
        for turn in 0..cases.len() {
            let index = (turn + round as usize) % cases.len();
            let case = &mut cases[index];
            let outcome = tokio::time::timeout(
                rounds.length.mul_f64(1.0 + LEAD_IN) + PATIENCE,
                case.round(round, rounds.length),
            );
            let name = case_name(&measured[index]);
            let outcome = outcome.await.with_context(|| format!("{name} hangs"))?;
            measured[index].rounds.push(outcome.with_context(|| name)?);
        }
    }
    Ok(measured)
}

fn case_name(measured: &Measured) -> String {
    format!("case {} with {} clients", measured.case, measured.clients)
}

/// The clients of one case.
pub(super) struct Fleet<C> {
    name: &'static str,
    clients: Vec<C>,
}

impl<C: Client> Fleet<C> {
    pub(super) fn boxed(name: &'static str, clients: Vec<C>) -> Box<dyn Case> {
        Box::new(Self { name, clients })
    }

    async fn drive(&mut self, round: u32, length: Duration) -> anyhow::Result<Round> {
        let from = Instant::now() + length.mul_f64(LEAD_IN);
        let until = from + length;
        let mut running = JoinSet::new();
        for mut client in self.clients.drain(..) {
            client.begin(round);
            running.spawn(write_until(client, from, until));
        }
        let mut total = Tally::default();
        while let Some(ended) = running.join_next().await {
            let (client, tally) = ended??;
            self.clients.push(client);
            total.events += tally.events;
            total.latencies_us.extend(tally.latencies_us);
        }
        Ok(total.round(length))
    }
}

impl<C: Client> Case for Fleet<C> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn round(&mut self, round: u32, length: Duration) -> BoxFuture<'_, anyhow::Result<Round>> {
        self.drive(round, length).boxed()
    }
}

/// What has come to an end so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    events: u64,
    latencies_us: Vec<f64>,
}

impl Tally {
    /// So many events took so long together.
    pub(super) fn add(&mut self, events: u32, took: Duration) {
        self.events += u64::from(events);
        self.latencies_us.push(took.as_secs_f64() * 1e6);
    }

    /// All of it, in a round that was so long.
    pub(super) fn round(mut self, length: Duration) -> Round {
        self.latencies_us.sort_by(f64::total_cmp);
        Round {
            per_second: self.events as f64 / length.as_secs_f64(),
            p50_us: quantile(&self.latencies_us, 0.50),
            p99_us: quantile(&self.latencies_us, 0.99),
        }
    }
}

/// Writes until the round is over. What ends between `from` and `until` counts: in a steady state
/// as much ends in that time as is begun in it. The wait of a write that was given up is counted
/// among the latencies, or whoever starves would look fast.
async fn write_until<C: Client>(
    mut client: C,
    from: Instant,
    until: Instant,
) -> anyhow::Result<(C, Tally)> {
    let mut tally = Tally::default();
    let mut begun = Instant::now();
    while begun < until {
        let events = client.write(until).await?;
        let ended = Instant::now();
        if ended >= from && (ended < until || events == 0) {
            tally.add(events, ended - begun);
        }
        begun = ended;
    }
    Ok((client, tally))
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

/// The median; none of nothing.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_at_most_a_second_and_at_least_three() {
        let of = |seconds| {
            let rounds = Rounds::of(seconds);
            (rounds.count, rounds.length.as_millis())
        };
        assert_eq!(of(0.3), (3, 100));
        assert_eq!(of(7.0), (7, 1_000));
        assert_eq!(of(7.5), (8, 937));
    }

    #[test]
    fn a_median_is_the_value_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.50), Some(50.0));
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.99), None);
    }

    /// Ends at once, and gives up when the time is over.
    struct Eager;

    impl Client for Eager {
        async fn write(&mut self, until: Instant) -> anyhow::Result<u32> {
            tokio::task::yield_now().await;
            Ok(u32::from(Instant::now() < until))
        }
    }

    #[tokio::test]
    async fn every_case_has_all_rounds_and_keeps_its_clients() {
        let mut cases = [Fleet::boxed("one", vec![Eager]), Fleet::boxed("two", vec![Eager, Eager])];
        let rounds = Rounds { count: 3, length: Duration::from_millis(250) };
        let measured = take_turns(&mut cases, rounds).await.expect("it cannot fail");
        for (one, clients) in measured.iter().zip([1, 2]) {
            assert_eq!((one.rounds.len(), one.clients), (3, clients));
            assert!(one.rounds.iter().all(|round| round.per_second > 0.0));
        }
        assert_eq!(cases[1].clients(), 2);
    }
}
