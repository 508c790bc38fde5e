//! `gomall bench`: what the write path does, beside its anchors, in the same run.
//!
//! **Guarantee.** Every case of a run has the same servers, the same events and the same clients,
//! and the cases take turns in rounds of at most a second, so that a noisy machine is noisy for
//! all of them. A ratio compares the rounds that ran side by side. The run ends by itself and
//! leaves nothing behind.
//!
//! | module | question it answers |
//! |---|---|
//! | [`place`] | on which database, and how does it go away? |
//! | [`measure`] | how is a round driven, and what is kept of it? |
//! | [`targets`] | which aggregates are written to? |
//! | [`bus`] | the case that is ours |
//! | [`postgres_es`], [`sql`] | the anchors |
//! | [`report`] | what is said at the end? |
//!
//! The next case is a [`measure::Client`] and a line in [`cases`].

mod bus;
mod measure;
mod place;
mod postgres_es;
mod report;
mod sql;
mod targets;

use super::told_to_stop;
use crate::settings::Secret;
use bus::Ours;
use clap::{Args, Subcommand};
use measure::{Case, Fleet, Rounds};
use place::{Place, Server};
use postgres_es::Peer;
use report::Report;
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use targets::Load;

/// The most clients of one run: each anchor has a connection a client.
const MAX_CLIENTS: u16 = 1_000;

/// The longest that one case is measured: ten minutes of one case are hours of a run.
const MAX_SECONDS: f64 = 600.0;

/// The shortest: below it a round holds no commits.
const MIN_SECONDS: f64 = 0.1;

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Commands of one event, each on another aggregate than its neighbours.
    Append(BenchArgs),
    /// Commands of one event, all on the same aggregate.
    Hot(BenchArgs),
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
    /// How many commands are in flight at once; several numbers separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,32,128",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CLIENTS)))]
    pub clients: Vec<u16>,
    /// A PostgreSQL to measure on, in a database made for it; without one a private server.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<Secret>,
    /// Where the private server keeps its files for the time being: the disk that is measured.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
}

pub(super) async fn run(scenario: Scenario) -> anyhow::Result<()> {
    let (load, mut args) = match scenario {
        Scenario::Append(args) => (Load::Spread, args),
        Scenario::Hot(args) => (Load::Hot, args),
    };
    let stop = told_to_stop()?;
    args.clients.sort_unstable();
    args.clients.dedup();
    let most = args.clients.last().copied().unwrap_or(1);
    let place = tokio::select! {
        place = Place::open(&args, connections(most)) => place?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = tokio::select! {
        result = measure_all(load, &args, &place) => result,
        () = stop.cancelled() => Ok(()),
    };
    place.close().await?;
    result
}

/// Connections that `clients` clients of every case need together, and a few to spare.
fn connections(clients: u16) -> u16 {
    2 * clients + 40
}

async fn measure_all(load: Load, args: &BenchArgs, place: &Place) -> anyhow::Result<()> {
    let database = place.database();
    let ours = Ours::start(database).await?;
    sql::prepare(database).await?;
    postgres_es::prepare(database).await?;
    let rounds = Rounds::of(args.seconds);
    let report = Report::new(args.json, &Server::ask(database).await?);
    for &clients in &args.clients {
        eprintln!("{clients} in flight …");
        let mut cases = cases(load, clients, rounds, &ours, database).await?;
        let measured = measure::take_turns(&mut cases, rounds).await?;
        report.add(&measured);
    }
    ours.stop().await;
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
    let mut cases: Vec<Box<dyn Case>> = vec![
        Fleet::boxed(load.name(), load.targets(clients, &skus).map(|to| ours.client(to)).collect()),
        Fleet::boxed(
            "postgres_es",
            load.targets(clients, &skus).map(|to| peer.client(to)).collect(),
        ),
    ];
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
