//! The roles of the one binary: each reads its settings, puts its parts together and runs them
//! until it is told to stop.

mod admin;
mod audit;
mod dead_letters;
mod dev;
mod policy;
mod rebuild;
mod serve;
mod worker;

pub use policy::casbin;

use crate::cli::{AdminAction, Cli, PolicyAction, Role};
use anyhow::Context as _;
use api::server::raise_file_limit;
use api::telemetry::{flush_logs, init_logs};
use sqlx::Connection as _;
use std::process::ExitCode;
use std::time::Duration;

/// How long computations may go on whose callers are gone, such as a password's hash, when all else has ended.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Runs the role that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    raise_file_limit();
    let role = cli.role.unwrap_or(Role::Dev(cli.dev));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.context("no threads").and_then(|runtime| {
        let result = runtime.block_on(run(role));
        runtime.shutdown_timeout(LEFTOVERS);
        result
    });
    flush_logs();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gomall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(role: Role) -> anyhow::Result<()> {
    init_logs(log_filter(&role)).context("GOMALL_LOG")?;
    match role {
        Role::Dev(args) => dev::run(args).await,
        Role::Serve(args) => serve::run(args).await,
        Role::Relay(args) => worker::run(args, worker::RELAY).await,
        Role::Project(args) => worker::run(args, worker::PROJECT).await,
        Role::Notify(args) => worker::run(args, worker::NOTIFY).await,
        Role::Rebuild(args) => rebuild::run(args).await,
        Role::Audit(args) => audit::run(args).await,
        Role::Migrate(args) => migrate(args.database_url.reveal()).await,
        Role::Seed(args) => admin::seed(args).await,
        Role::Admin { action: AdminAction::Create(args) } => admin::create(args).await,
        Role::Admin { action: AdminAction::Reset(args) } => admin::reset(args).await,
        Role::Admin { action: AdminAction::Unban { address, servers } } => {
            policy::unban(address, servers).await
        }
        Role::Policy { action } => policy::run(action).await,
        Role::DeadLetters { action } => dead_letters::run(action).await,
        Role::Bench { scenario } => laboratory::bench::run(scenario).await,
        Role::Chaos { scenario } => laboratory::chaos::run(scenario).await,
        Role::Openapi => {
            println!("{}", api::openapi::document().to_pretty_json()?);
            Ok(())
        }
    }
}

fn log_filter(role: &Role) -> &str {
    match role {
        Role::Dev(args) => &args.shop.log.filter,
        Role::Serve(args) => &args.servers.shop.log.filter,
        Role::Relay(args) | Role::Project(args) | Role::Notify(args) => {
            &args.servers.shop.log.filter
        }
        Role::Seed(args) => &args.shop.log.filter,
        Role::Rebuild(args) => &args.servers.shop.log.filter,
        Role::Audit(args) => &args.servers.shop.log.filter,
        Role::Admin { action: AdminAction::Create(args) | AdminAction::Reset(args) } => {
            &args.servers.shop.log.filter
        }
        Role::Admin { action: AdminAction::Unban { servers, .. } } => &servers.shop.log.filter,
        Role::Policy { action } => match action {
            PolicyAction::List(servers)
            | PolicyAction::Remove { servers, .. }
            | PolicyAction::Reset(servers)
            | PolicyAction::Export { servers, .. }
            | PolicyAction::Import { servers, .. } => &servers.shop.log.filter,
            PolicyAction::Test { .. } => "warn",
        },
        Role::Chaos { scenario } => scenario.log_filter(),
        // What the anchors make their drivers say is not about the shop.
        Role::Bench { .. } => "warn,sqlx=error",
        Role::Migrate(_) | Role::DeadLetters { .. } | Role::Openapi => "warn",
    }
}

/// Brings the database up to this build. Several processes may try at once: the migrator locks.
async fn migrate(database_url: &str) -> anyhow::Result<()> {
    let mut connection =
        sqlx::PgConnection::connect(database_url).await.context("PostgreSQL cannot be reached")?;
    commands::MIGRATOR.run(&mut connection).await.context("the database cannot be migrated")?;
    connection.close().await?;
    println!("the database is up to date");
    Ok(())
}
