//! Processes are stopped for a while without noticing: those that hold the leases, and one that
//! writes, in the middle of an append. The others take over; when the stopped ones come back they do
//! no harm.

use super::super::ChaosArgs;
use super::super::check::Evidence;
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::proxy::{Moment, Point, Then, Trap};
use super::super::staff::{Duty, Staff};
use super::super::{gather, patiently, rows};
use super::MAX_SECONDS;
use clap::Args;
use std::time::{Duration, Instant};

/// The server ends the session of a projection's worker after ten seconds of silence; a pause that
/// is longer, with time to catch up, is one in which the others have to take over.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(25);

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

pub(super) async fn cycle(cycle: &mut Cycle<'_>, pause: Duration) -> anyhow::Result<Evidence> {
    let proxies = cycle.proxies().await?;
    let urls: Vec<_> = proxies.iter().map(|proxy| cycle.ground.url_through(proxy.port())).collect();
    let staff = Staff::start(cycle, &[Duty::Relay, Duty::Project]).await?;
    let mut crew = Crew::start(cycle, &urls, Manner::default())?;
    crew.at_work().await?;

    // Whoever publishes and whoever projects shows itself, and is let go on at once.
    let mut frozen = vec![];
    for (duty, point) in [(Duty::Relay, Point::Publish), (Duty::Project, Point::ProjectionCommit)] {
        let trap = Trap { point, moment: Moment::Answered, then: Then::Cut };
        let Some(holder) = staff.trap(duty, trap).await else {
            anyhow::bail!("nobody came to {point:?}");
        };
        frozen.push(holder);
    }
    for holder in &frozen {
        staff.child(*holder).freeze()?;
        cycle.fault(format!("{} stopped for {pause:?}", staff.name(*holder)));
    }
    let trap = Trap { point: Point::Append, moment: Moment::Sent, then: Then::Hang };
    let in_append = tokio::time::timeout(pause, proxies[0].arm(trap)).await.is_ok();
    proxies[0].disarm();
    crew.worker(0).freeze()?;
    cycle.fault(format!("worker 0 stopped for {pause:?}, in an append: {in_append}"));

    let until = Instant::now() + pause;
    if pause >= TAKEN_OVER_AFTER {
        let head = gather::head(cycle).await?;
        patiently("another relay", || gather::stream(cycle, head)).await?;
        patiently("other projections", || rows::are_at(cycle, head)).await?;
    }
    tokio::time::sleep_until(until.into()).await;
    crew.worker(0).thaw()?;
    for holder in frozen {
        staff.child(holder).thaw()?;
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}
