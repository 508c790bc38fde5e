//! `gomall bench`: what the engine does, beside its anchors, in the same run.
//!
//! **Guarantee.** Every case of a run has the same servers, the same events and the same clients,
//! and the cases take turns in rounds of at most a second, so that a noisy machine is noisy for
//! all of them. A ratio compares the rounds that ran side by side. The run ends by itself and
//! leaves nothing behind.
//!
//! | module | question it answers |
//! |---|---|
//! | [`testbed`] | on which database, and how does it go away? |
//! | [`mod@measure`] | how is a round driven, and what is kept of it? |
//! | [`targets`] | which aggregates are written to? |
//! | [`bus`] | what is ours on the write side |
//! | [`postgres_es`], `disintegrate`, [`sql`] | the anchors of the write side |
//! | [`history`] | what is read, where much is read? |
//! | [`relay`], [`rebuild`], [`lag`], [`growth`] | a scenario each |
//! | [`report`] | what is said at the end? |
//!
//! The next case is a [`measure::Client`] (or a [`measure::Case`]) and a line in its scenario.

mod bus;
#[cfg(feature = "peers")]
mod disintegrate;
mod growth;
mod history;
mod lag;
mod measure;
mod postgres_es;
mod rebuild;
mod relay;
mod report;
mod sql;
mod targets;
mod testbed;

use api::settings::{DatabaseUrl, Secret};
use api::stop::told_to_stop;
use bus::Ours;
use clap::{Args, Subcommand};
use measure::{Case, Fleet, Measured, Rounds};
use postgres_es::Peer;
use rebuild::StillJournal;
use relay::Broker;
use report::{Ratios, Report};
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::time::Duration;
use targets::Load;
use testbed::{Server, Testbed};

/// The most clients of one run: each anchor has a connection a client.
const MAX_CLIENTS: u16 = 1_000;

/// The longest that one case is measured: ten minutes of one case are hours of a run.
const MAX_SECONDS: f64 = 600.0;

/// The shortest: below it a round holds no commits.
const MIN_SECONDS: f64 = 0.1;

/// The most events of a history: as many as growth is promised for, and as many again.
const MAX_EVENTS: u64 = 10_000_000;

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Commands of one event, each on another aggregate than its neighbours.
    Append(BenchArgs),
    /// Commands of one event, all on the same aggregate.
    Hot(BenchArgs),
    /// Copying a journal to JetStream.
    Relay(BenchArgs),
    /// Building read models anew.
    Rebuild(BenchArgs),
    /// From an event's commit until it can be read in a read model, at half of full load.
    Lag(BenchArgs),
    /// Appending and loading with a long journal, compared with an empty one.
    Growth(BenchArgs),
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Print one JSON object a case instead of a table.
    #[arg(long)]
    pub json: bool,
    /// How long each case is measured with each number of clients.
    #[arg(long, default_value_t = 7.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// append, hot, lag: how many commands are in flight at once; several numbers separated by
    /// commas. lag: at full load.
    #[arg(long, value_delimiter = ',', default_value = "1,32,128",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CLIENTS)))]
    pub clients: Vec<u16>,
    /// append, hot, relay: measure the cases of these names only, for instance under a profiler.
    #[arg(long = "case", value_name = "NAME")]
    pub cases: Vec<String>,
    /// relay, rebuild, growth: how many events there are; growth is promised for five million.
    #[arg(long, default_value_t = 200_000,
          value_parser = clap::value_parser!(u64).range(1..=MAX_EVENTS))]
    pub events: u64,
    /// A PostgreSQL to measure on, in a database made for it; without one a private server.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,
    /// relay: a NATS to measure on, in streams made for it; goes with a PostgreSQL of yours.
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: Option<Secret>,
    /// Where the private servers keep their files for the time being: the disk that is measured.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
}

impl BenchArgs {
    /// Drops the cases that nobody asked for.
    fn select(&self, cases: &mut Vec<Box<dyn Case>>) -> anyhow::Result<()> {
        let all: Vec<&str> = cases.iter().map(|case| case.name()).collect();
        if let Some(unknown) = self.cases.iter().find(|name| !all.contains(&name.as_str())) {
            anyhow::bail!("there is no case {unknown}, but {}", all.join(", "));
        }
        if !self.cases.is_empty() {
            cases.retain(|case| self.cases.iter().any(|name| name == case.name()));
        }
        Ok(())
    }
}

impl Scenario {
    fn args(&mut self) -> &mut BenchArgs {
        match self {
            Self::Append(args)
            | Self::Hot(args)
            | Self::Relay(args)
            | Self::Rebuild(args)
            | Self::Lag(args)
            | Self::Growth(args) => args,
        }
    }
}

/// Measures what was asked for, and prints it.
///
/// # Errors
/// When it cannot be measured.
pub async fn run(mut scenario: Scenario) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    let args = scenario.args();
    args.clients.sort_unstable();
    args.clients.dedup();
    let args = args.clone();
    let most = args.clients.last().copied().unwrap_or(1);
    let testbed = tokio::select! {
        testbed = Testbed::open(&args, connections(most)) => testbed?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = tokio::select! {
        result = measure(&scenario, &args, &testbed) => result,
        () = stop.cancelled() => Ok(()),
    };
    testbed.close().await?;
    result
}

/// Connections that `clients` clients of every case need together, and some to spare.
fn connections(clients: u16) -> u16 {
    3 * clients + 100
}

async fn measure(scenario: &Scenario, args: &BenchArgs, testbed: &Testbed) -> anyhow::Result<()> {
    let database = testbed.database();
    let ours = Ours::start(database).await?;
    sql::prepare(database).await?;
    let rounds = Rounds::of(args.seconds);
    let report = Report::new(args.json, &Server::ask(database).await?);
    match scenario {
        Scenario::Append(_) => {
            measure_writes(Load::Spread, args, rounds, &ours, database, &report).await?;
        }
        Scenario::Hot(_) => {
            measure_writes(Load::Hot, args, rounds, &ours, database, &report).await?;
        }
        Scenario::Relay(_) => {
            let head = history::load(database, args.events).await?;
            let client = nats::connect(&testbed.nats_url()?, "gomall bench").await?;
            let broker = Broker { pool: ours.pool().clone(), client, head };
            let mut cases = vec![broker.relay(), broker.publish().await?];
            args.select(&mut cases)?;
            report.add(&measure::take_turns(&mut cases, rounds).await?);
        }
        Scenario::Rebuild(_) => {
            let head = history::load(database, args.events).await?;
            let journal = StillJournal::open(database, head).await?;
            for projection in [projections::ALL[0], projections::ALL[1], projections::ALL[2]] {
                let mut cases = vec![journal.rebuild(projection), journal.read()];
                report.add(&measure::take_turns(&mut cases, rounds).await?);
            }
        }
        Scenario::Lag(_) => measure_lag(args, &ours, database, &report).await?,
        Scenario::Growth(_) => {
            growth::measure(&ours, testbed, rounds, args.events, &report).await?;
        }
    }
    ours.stop().await;
    Ok(())
}

async fn measure_writes(
    load: Load,
    args: &BenchArgs,
    rounds: Rounds,
    ours: &Ours,
    database: &PgConnectOptions,
    report: &Report,
) -> anyhow::Result<()> {
    postgres_es::prepare(database).await?;
    for &clients in &args.clients {
        eprintln!("{clients} in flight …");
        let mut cases = cases(load, clients, rounds, ours, database).await?;
        args.select(&mut cases)?;
        report.add(&measure::take_turns(&mut cases, rounds).await?);
    }
    Ok(())
}

async fn measure_lag(
    args: &BenchArgs,
    ours: &Ours,
    database: &PgConnectOptions,
    report: &Report,
) -> anyhow::Result<()> {
    let length = Duration::from_secs_f64(args.seconds);
    let clients = args.clients.last().copied().unwrap_or(1);
    let skus = targets::skus("lag");
    ours.open(&skus).await?;
    let following = lag::Following::start(ours, database).await?;
    let targets = Load::Spread.targets(clients, &skus).collect();
    let full = lag::full_load(ours, &following, targets, length).await?;
    let paced = Load::Spread.targets(1, &skus).next().expect("one client was asked for");
    let half = lag::paced(ours, &following, paced, full / 2.0, length).await?;
    following.stop().await?;
    let full = measure::Round { per_second: full, p50_us: None, p99_us: None };
    for (case, clients, round) in
        [("full", usize::from(clients), full), ("command", 1, half[0]), ("lag", 1, half[1])]
    {
        report.line(&Measured { case, clients, rounds: vec![round] }, Ratios::new());
    }
    Ok(())
}

/// The cases of one number of clients, ours first.
async fn cases(
    load: Load,
    clients: u16,
    rounds: Rounds,
    ours: &Ours,
    database: &PgConnectOptions,
) -> anyhow::Result<Vec<Box<dyn Case>>> {
    let skus = load.skus(clients, rounds);
    ours.open(&skus).await?;
    postgres_es::open(database, &skus).await?;
    let peer = Peer::connect(database, clients).await?;
    #[cfg(feature = "peers")]
    let disintegrate = disintegrate::Peer::connect(database, clients).await?;
    #[cfg(feature = "peers")]
    if let Some(peer) = &disintegrate {
        peer.open(&skus).await?;
    }
    let mut cases: Vec<Box<dyn Case>> = vec![
        Fleet::boxed(load.name(), load.targets(clients, &skus).map(|to| ours.client(to)).collect()),
        Fleet::boxed(
            "postgres_es",
            load.targets(clients, &skus).map(|to| peer.client(to)).collect(),
        ),
    ];
    #[cfg(feature = "peers")]
    if let Some(peer) = &disintegrate {
        let clients = load.targets(clients, &skus).map(|to| peer.client(to)).collect();
        cases.push(Fleet::boxed("disintegrate", clients));
    }
    if load == Load::Spread {
        cases.push(Fleet::boxed("insert", sql::inserters(database, clients).await?));
        cases.push(Fleet::boxed("bulk", vec![sql::BulkLoader::connect(database).await?]));
    }
    cases.push(Fleet::boxed("commit", vec![sql::Committer::connect(database).await?]));
    Ok(cases)
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("expected {MIN_SECONDS} to {MAX_SECONDS} seconds"))
    }
}
