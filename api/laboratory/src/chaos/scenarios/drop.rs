//! Clients leave in the middle of their requests, at a different point each time.

use super::super::ChaosArgs;
use super::super::check::{Evidence, Violation};
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::MAX_SECONDS;
use clap::Args;
use std::time::{Duration, Instant};

/// How often it is looked for open transactions: the next request on a connection ends one that was
/// forgotten there, so that it is seen only in between.
const LOOK: Duration = Duration::from_millis(20);

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

pub(super) async fn cycle(cycle: &mut Cycle<'_>, length: Duration) -> anyhow::Result<Evidence> {
    let mut crew = Crew::start(cycle, &cycle.urls(), Manner { leave: true })?;
    crew.at_work().await?;
    cycle.fault("clients leave in the middle of their requests");
    let begun = Instant::now();
    let mut resting = 0;
    let mut connection = cycle.ground.connect().await?;
    while begun.elapsed() < length {
        tokio::time::sleep(LOOK).await;
        let now: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity \
              where datname = current_database() and state like 'idle in transaction%' \
                and (application_name <> 'gomall journal' \
                     or xact_start < clock_timestamp() - interval '2 seconds')",
        )
        .fetch_one(&mut connection)
        .await?;
        resting = resting.max(now);
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    if resting > 0 {
        let what = format!("{resting} connections rest in a transaction");
        evidence.found.push(Violation { rule: "idle transactions", what });
    }
    Ok(evidence)
}
