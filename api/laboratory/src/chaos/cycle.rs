//! One round of a scenario: what it has to go by, and what is said of it.

use super::check::{Evidence, Violation, violations};
use super::child::Child;
use super::history::Line;
use super::proxy::Proxy;
use super::testbed::{Ground, Testbed};
use anyhow::Context as _;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::time::Instant;

/// How much is written in a cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Processes that write.
    pub(super) processes: u32,
    /// Clients of each.
    pub(super) clients: u32,
    /// Operations of each client.
    pub(super) operations: u32,
}

/// What a scenario goes by.
pub(super) struct Cycle<'a> {
    /// The servers.
    pub(super) testbed: &'a Testbed,
    /// What is this cycle's alone.
    pub(super) ground: Ground,
    /// What everything is drawn from.
    pub(super) seed: u64,
    /// Draws the faults.
    pub(super) rng: StdRng,
    /// How much is written.
    pub(super) load: Load,
    /// What was done to the system, in order.
    pub(super) faults: Vec<String>,
    begun: Instant,
}

impl<'a> Cycle<'a> {
    pub(super) async fn begin(
        testbed: &'a Testbed,
        number: u32,
        seed: u64,
        load: Load,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let ground = testbed.ground(number).await?;
        let rng = StdRng::seed_from_u64(seed);
        Ok(Self { testbed, ground, seed, rng, load, faults: vec![], begun })
    }

    /// Starts a process of this binary.
    pub(super) fn start(
        &self,
        name: impl Into<String>,
        role: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Child> {
        let name = name.into();
        let log = self.ground.file(&format!("{}.log", name.replace(' ', "-")));
        let data = self.ground.file("data");
        let data = data.to_str().context("a path of our own is text")?;
        let environment = [environment, &[("GOMALL_DATA_DIR", data)]].concat();
        Child::start(name, role, &environment, log)
    }

    /// The database's address, once for every process that writes.
    pub(super) fn urls(&self) -> Vec<String> {
        (0..self.load.processes).map(|_| self.ground.url.clone()).collect()
    }

    /// A proxy to PostgreSQL for every process that writes.
    pub(super) async fn proxies(&self) -> anyhow::Result<Vec<Proxy>> {
        let mut proxies = vec![];
        for _ in 0..self.load.processes {
            proxies.push(Proxy::to_postgres(self.testbed.stack.postgres.port()).await?);
        }
        Ok(proxies)
    }

    /// Notes what is done to the system.
    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Judges what was recorded.
    pub(super) fn judge(&self, number: u32, evidence: &Evidence) -> Verdict {
        let violations = violations(evidence);
        Verdict {
            cycle: number,
            seed: self.seed,
            counts: Counts::of(evidence),
            faults: self.faults.clone(),
            violations: violations.iter().map(Violation::to_string).collect(),
            seconds: self.begun.elapsed().as_secs_f64(),
        }
    }
}

/// What is said of a cycle.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) cycle: u32,
    pub(super) seed: u64,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) faults: Vec<String>,
    pub(super) violations: Vec<String>,
    pub(super) seconds: f64,
}

/// How much was recorded: without it, "no violation" says nothing.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    /// Operations that were asked for.
    pub(super) operations: usize,
    /// Requests that were acknowledged, those included that came back with a first outcome.
    pub(super) acknowledged: usize,
    /// Acknowledgements that were a key's first outcome.
    pub(super) replayed: usize,
    /// Requests that the rules forbade.
    pub(super) refused: usize,
    /// Requests that were not done because others were in the way, or the database was.
    pub(super) absent: usize,
    /// Requests whose outcome nobody knows, those of killed processes included.
    pub(super) unknown: usize,
    /// Events of the journal.
    pub(super) events: usize,
    /// Events that followers saw.
    pub(super) followed: usize,
    /// Messages that were published.
    pub(super) published: usize,
}

impl Counts {
    fn of(evidence: &Evidence) -> Self {
        let mut counts = Self {
            events: evidence.journal.len(),
            followed: evidence.tails.iter().map(Vec::len).sum(),
            published: evidence.stream.as_ref().map_or(0, Vec::len),
            ..Self::default()
        };
        let (mut operations, mut begun, mut answered) = (HashSet::new(), 0, 0);
        for line in evidence.histories.iter().flatten() {
            match line {
                Line::Began { op, .. } => {
                    operations.insert(*op);
                    begun += 1;
                    continue;
                }
                Line::Done { replayed, .. } => {
                    counts.acknowledged += 1;
                    counts.replayed += usize::from(*replayed);
                }
                Line::Nothing { .. } => counts.acknowledged += 1,
                Line::Refused { .. } => counts.refused += 1,
                Line::Absent { .. } => counts.absent += 1,
                Line::Unknown { .. } => counts.unknown += 1,
            }
            answered += 1;
        }
        counts.operations = operations.len();
        counts.unknown += begun - answered;
        counts
    }
}

impl Counts {
    /// Adds another cycle's.
    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.replayed += other.replayed;
        self.refused += other.refused;
        self.absent += other.absent;
        self.unknown += other.unknown;
        self.events += other.events;
        self.followed += other.followed;
        self.published += other.published;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations ({} acknowledged, {} of them again; {} refused, {} not done, {} unknown), \
             {} events ({} followed, {} published)",
            self.operations,
            self.acknowledged,
            self.replayed,
            self.refused,
            self.absent,
            self.unknown,
            self.events,
            self.followed,
            self.published,
        )
    }
}
