//! `gomall chaos`: the promises of the journal and of what follows it, under faults.
//!
//! **Guarantee.** Every scenario runs the real parts in real processes on servers of its own, with
//! every commit on disk, does harm to them on a schedule that a seed gives, and judges what
//! everybody recorded meanwhile. It ends by itself, leaves nothing behind, and signals only
//! processes that it started.
//!
//! | module | question it answers |
//! |---|---|
//! | [`testbed`] | on which servers? |
//! | [`child`] | how are processes started, and ended with us? |
//! | [`work`], [`operations`], [`account`] | what is written, and by whom? |
//! | [`follow`] | who reads meanwhile? |
//! | [`history`] | how do they write down what happens to them? |
//! | [`crew`] | how do they run together? |
//! | [`gather`], [`check`] | what was recorded, and is it right? |
//! | [`cycle`], [`report`] | what is said of it? |
//! | [`staff`], [`shopper`], [`mailbox`], [`mails`], [`rows`] | what follows the journal, and what comes of it? |
//! | [`proxy`] | how does something go wrong at a named point? |
//! | [`scenarios`] | what is done to the system? |
//!
//! The next scenario is a file in `scenarios/`, which says what it has to have. What several of them
//! need is a module here.

mod account;
mod check;
mod child;
mod crew;
mod cycle;
mod follow;
mod gather;
mod history;
mod mailbox;
mod mails;
mod operations;
mod proxy;
mod report;
mod rows;
mod scenarios;
mod shopper;
mod staff;
mod testbed;
mod work;

pub use scenarios::Scenario;
pub use scenarios::run;

use anyhow::Context as _;
use api::settings::DatabaseArgs;
use api::stop::told_to_stop;
use check::Evidence;
use clap::Args;
use cycle::{Cycle, Load, Verdict};
use report::Report;
use sqlx::postgres::PgConnectOptions;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};
use testbed::Testbed;

/// The most cycles of one run: a night of them.
const MAX_CYCLES: u32 = 10_000;

/// The most processes that write at once.
const MAX_PROCESSES: u32 = 16;

/// The most clients of one process, as many as fit into one batch of the writer.
const MAX_CLIENTS: u32 = 512;

/// How long a server or a process may take to be there again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// How much of it.
#[derive(Debug, Clone, Args)]
pub struct ChaosArgs {
    /// How often it is done, each time on a fresh database.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CYCLES)))]
    pub cycles: u32,
    /// What operations and faults are drawn from. Cycle n draws from this plus n − 1.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object a cycle.
    #[arg(long)]
    pub json: bool,
    /// Processes that write.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PROCESSES)))]
    pub processes: u32,
    /// Clients of each process.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLIENTS)))]
    pub clients: u32,
}

/// Plays a scenario's cycles, one after the other, until one of them finds something wrong.
async fn play(
    name: &'static str,
    args: &ChaosArgs,
    operations: u32,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<()> {
    play_on(&std::env::temp_dir(), None, name, args, operations, scenario).await
}

/// The same, with the servers' files below one directory and all others in another.
async fn play_on(
    parent: &Path,
    notes: Option<&Path>,
    name: &'static str,
    args: &ChaosArgs,
    operations: u32,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    let testbed = tokio::select! {
        testbed = Testbed::open(parent, notes) => testbed?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = tokio::select! {
        result = cycles(name, args, operations, &testbed, scenario) => result,
        () = stop.cancelled() => Ok(()),
    };
    testbed.close().await;
    result
}

async fn cycles(
    name: &'static str,
    args: &ChaosArgs,
    operations: u32,
    testbed: &Testbed,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<()> {
    let ChaosArgs { processes, clients, .. } = *args;
    let mut report = Report::new(name, args.json);
    for (number, seed) in (1..=args.cycles).zip(args.seed..) {
        let load = Load { processes, clients, operations };
        let verdict = one(testbed, number, seed, load, &scenario)
            .await
            .with_context(|| format!("{name}, cycle {number}, seed {seed}"))?;
        report.add(&verdict);
        anyhow::ensure!(
            verdict.violations.is_empty(),
            "{name}: a promise was broken in cycle {number}; \
             try again with `gomall chaos {name} --cycles 1 --seed {seed}`"
        );
    }
    report.end();
    Ok(())
}

async fn one(
    testbed: &Testbed,
    number: u32,
    seed: u64,
    load: Load,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<Verdict> {
    let mut cycle = Cycle::begin(testbed, number, seed, load).await?;
    let evidence = scenario(&mut cycle).await?;
    let verdict = cycle.judge(number, &evidence);
    testbed.clear(cycle.ground).await?;
    Ok(verdict)
}

/// Tries until it works, for as long as a server may take to come back.
async fn patiently<T>(
    what: &str,
    mut work: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("{what} does not come back"));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

fn options(database: &DatabaseArgs) -> anyhow::Result<PgConnectOptions> {
    PgConnectOptions::from_str(database.database_url.reveal())
        .map_err(|_| anyhow::anyhow!("DATABASE_URL is not like postgres://user@host/database"))
}
