//! Several processes write to one database at once, and one follows. Nothing is broken on purpose:
//! they are each other's fault.

use super::super::ChaosArgs;
use super::super::check::Evidence;
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::MAX_OPERATIONS;
use clap::Args;

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

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.finish(cycle).await
}
