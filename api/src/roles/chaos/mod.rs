//! `gomall chaos`: the promises of the journal and of what follows it, under faults.
//!
//! **Guarantee.** Every scenario runs the real parts in real processes on servers of its own, with
//! every commit on disk, does harm to them on a schedule that a seed gives, and judges what
//! everybody recorded meanwhile. It ends by itself, leaves nothing behind, and signals only
//! processes that it started.
//!
//! | module | question it answers |
//! |---|---|
//! | [`place`] | on which servers? |
//! | [`child`] | how are processes started, and ended with us? |
//! | [`work`], [`operations`], [`account`] | what is written, and by whom? |
//! | [`follow`] | who reads meanwhile? |
//! | [`history`] | how do they write down what happens to them? |
//! | [`crew`] | how do they run together? |
//! | [`gather`], [`check`] | what was recorded, and is it right? |
//! | [`cycle`], [`report`] | what is said of it? |
//! | [`staff`], [`shopper`], [`mailbox`], [`rows`] | what follows the journal, and what comes of it? |
//! | [`proxy`] | how does something go wrong at a named point? |
//! | [`writers`], [`kill`], [`orders`], [`cut`], [`stream`], [`pause`], [`leave`], [`disk`] | the scenarios |
//!
//! The next scenario is a module with a `cycle` function, a variant of [`Scenario`] and a line in
//! `play`.

mod account;
mod check;
mod child;
mod crew;
mod cut;
mod cycle;
mod disk;
mod follow;
mod gather;
mod history;
mod kill;
mod leave;
mod mailbox;
mod operations;
mod orders;
mod pause;
mod place;
mod proxy;
mod report;
mod rows;
mod shopper;
mod staff;
mod stream;
mod work;
mod writers;

use super::told_to_stop;
use crate::settings::DatabaseArgs;
use anyhow::Context as _;
use check::Evidence;
use clap::{Args, Subcommand};
use cycle::{Cycle, Load, Verdict};
use place::Place;
use report::Report;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The most cycles of one run: a night of them.
const MAX_CYCLES: u32 = 10_000;

/// The most processes that write at once.
const MAX_PROCESSES: u32 = 16;

/// The most clients of one process, as many as fit into one batch of the writer.
const MAX_CLIENTS: u32 = 512;

/// The most operations of one client: histories and journal are judged in memory.
const MAX_OPERATIONS: u32 = 10_000;

/// The most faults of one cycle.
const MAX_FAULTS: u32 = 1_000;

/// The longest that one cycle is told to last.
const MAX_SECONDS: u32 = 3_600;

/// How long a server or a process may take to be there again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// What is done to the system.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Several processes write to one database, another one follows.
    Writers(WritersArgs),
    /// Processes and servers are killed, at random moments and at named points.
    Kill(KillArgs),
    /// Customers order while those who serve, publish, project and send mail are killed.
    Orders(OrdersArgs),
    /// Connections are cut in the middle of an append.
    Cut(CutArgs),
    /// The published stream is wiped, cut short, forked, and has holes.
    Stream(ChaosArgs),
    /// Processes that hold the leases stop for a while and come back.
    Pause(PauseArgs),
    /// Clients leave in the middle of their requests.
    Drop(DropArgs),
    /// PostgreSQL's disk is full for a while.
    DiskFull(DiskFullArgs),
    /// A process that writes.
    #[command(hide = true)]
    Work(work::WorkArgs),
    /// A process that follows.
    #[command(hide = true)]
    Follow(follow::FollowArgs),
    /// Any process, ended with us.
    #[command(hide = true)]
    Child(child::ChildArgs),
}

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

/// How much is written.
#[derive(Debug, Clone, Args)]
pub struct WritersArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Operations of each client.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_OPERATIONS)))]
    pub operations: u32,
}

/// How much is killed.
#[derive(Debug, Clone, Args)]
pub struct KillArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Faults in a cycle; each of the 17 kinds happens before one happens again.
    #[arg(long, default_value_t = 17, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FAULTS)))]
    pub faults: u32,
}

/// What is killed while orders come.
#[derive(Debug, Clone, Args)]
pub struct OrdersArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Faults in a cycle; each kind happens before one happens again.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FAULTS)))]
    pub faults: u32,
    /// Kill those who send mail too: the cycle then waits until their leases of a minute are over.
    #[arg(long)]
    pub mailers: bool,
}

/// How much is cut.
#[derive(Debug, Clone, Args)]
pub struct CutArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Cuts in a cycle.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FAULTS)))]
    pub cuts: u32,
}

/// How often the disk is full.
#[derive(Debug, Clone, Args)]
pub struct DiskFullArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Times in a cycle.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FAULTS)))]
    pub faults: u32,
    /// The directory that has the small disk in it, once there is one.
    #[arg(long, hide = true)]
    pub inside: Option<PathBuf>,
}

/// How long they stop.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Seconds that the processes are stopped.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SECONDS)))]
    pub pause: u32,
}

/// How long clients leave.
#[derive(Debug, Clone, Args)]
pub struct DropArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Seconds of a cycle.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SECONDS)))]
    pub seconds: u32,
}

impl Scenario {
    /// What is logged; processes of a run write their logs to files.
    pub(super) fn log_filter(&self) -> &'static str {
        match self {
            Self::Work(_) | Self::Follow(_) => "info",
            _ => "error",
        }
    }
}

pub(super) async fn run(scenario: Scenario) -> anyhow::Result<()> {
    let all = MAX_OPERATIONS;
    match scenario {
        Scenario::Writers(WritersArgs { chaos, operations }) => {
            play("writers", &chaos, operations, writers::cycle).await
        }
        Scenario::Kill(KillArgs { chaos, faults }) => {
            play("kill", &chaos, all, async |cycle| kill::cycle(cycle, faults).await).await
        }
        Scenario::Orders(OrdersArgs { chaos, faults, mailers }) => {
            play("orders", &chaos, all, async |cycle| orders::cycle(cycle, faults, mailers).await)
                .await
        }
        Scenario::Cut(CutArgs { chaos, cuts }) => {
            play("cut", &chaos, all, async |cycle| cut::cycle(cycle, cuts).await).await
        }
        Scenario::Stream(chaos) => play("stream", &chaos, all, stream::cycle).await,
        Scenario::Pause(PauseArgs { chaos, pause }) => {
            let pause = Duration::from_secs(pause.into());
            play("pause", &chaos, all, async |cycle| pause::cycle(cycle, pause).await).await
        }
        Scenario::Drop(DropArgs { chaos, seconds }) => {
            let length = Duration::from_secs(seconds.into());
            play("drop", &chaos, all, async |cycle| leave::cycle(cycle, length).await).await
        }
        Scenario::DiskFull(DiskFullArgs { chaos, faults, inside }) => match inside {
            None => disk::on_own_disk(chaos.json, told_to_stop()?).await,
            Some(directory) => {
                child::end_with_parent()?;
                let scenario = async |cycle: &mut Cycle<'_>| disk::cycle(cycle, faults).await;
                let (disk, notes) = (directory.join("disk"), Some(directory.as_path()));
                play_on(&disk, notes, "disk-full", &chaos, all, scenario).await
            }
        },
        Scenario::Work(args) => work::run(args).await,
        Scenario::Follow(args) => follow::run(args).await,
        Scenario::Child(args) => child::become_child(&args),
    }
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
    let place = tokio::select! {
        place = Place::open(parent, notes) => place?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = tokio::select! {
        result = cycles(name, args, operations, &place, scenario) => result,
        () = stop.cancelled() => Ok(()),
    };
    place.close().await;
    result
}

async fn cycles(
    name: &'static str,
    args: &ChaosArgs,
    operations: u32,
    place: &Place,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<()> {
    let ChaosArgs { processes, clients, .. } = *args;
    let mut report = Report::new(name, args.json);
    for (number, seed) in (1..=args.cycles).zip(args.seed..) {
        let load = Load { processes, clients, operations };
        let verdict = one(place, number, seed, load, &scenario)
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
    place: &Place,
    number: u32,
    seed: u64,
    load: Load,
    scenario: impl AsyncFn(&mut Cycle<'_>) -> anyhow::Result<Evidence>,
) -> anyhow::Result<Verdict> {
    let mut cycle = Cycle::begin(place, number, seed, load).await?;
    let evidence = scenario(&mut cycle).await?;
    let verdict = cycle.judge(number, &evidence);
    place.clear(cycle.ground).await?;
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
