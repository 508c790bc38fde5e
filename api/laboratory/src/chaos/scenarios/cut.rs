//! The connection between a writer and PostgreSQL is cut again and again, each time in the middle
//! of an append: half of it sent; sent, and nobody waits; done, and the answer lost.

use super::super::ChaosArgs;
use super::super::check::Evidence;
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::proxy::{Moment, Point, Proxy, Then, Trap};
use super::MAX_FAULTS;
use clap::Args;
use rand::Rng;
use std::time::Duration;

/// The longest that a writer is waited for; one that has nothing to write is passed over.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// The longest undisturbed time before a cut.
const PEACE: Duration = Duration::from_millis(100);

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

pub(super) async fn cycle(cycle: &mut Cycle<'_>, cuts: u32) -> anyhow::Result<Evidence> {
    let proxies = cycle.proxies().await?;
    let urls: Vec<_> = proxies.iter().map(|proxy| cycle.ground.url_through(proxy.port())).collect();
    let mut crew = Crew::start(cycle, &urls, Manner::default())?;
    crew.at_work().await?;
    for number in 0..cuts {
        // The first ones go through all moments, whatever is drawn.
        let moment = match number {
            0 => Moment::Half,
            1 => Moment::Sent,
            2 => Moment::Answered,
            _ => Moment::any(&mut cycle.rng),
        };
        tokio::time::sleep(PEACE.mul_f64(cycle.rng.random())).await;
        let writer = cycle.rng.random_range(0..proxies.len());
        cut(cycle, &proxies[writer], writer, moment).await;
    }
    crew.enough().await?;
    crew.finish(cycle).await
}

async fn cut(cycle: &mut Cycle<'_>, proxy: &Proxy, writer: usize, moment: Moment) {
    let sprung = proxy.arm(Trap { point: Point::Append, moment, then: Then::Cut });
    if tokio::time::timeout(APPEND_PATIENCE, sprung).await.is_ok() {
        cycle.fault(format!("worker {writer} cut off from PostgreSQL, append {moment:?}"));
    }
    proxy.disarm();
}
