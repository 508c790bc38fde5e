//! Processes and servers are killed, at random moments and at named points.

use super::super::ChaosArgs;
use super::super::check::Evidence;
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::proxy::{Moment, Point, Proxy, Then, Trap};
use super::super::staff::{Duty, Staff};
use super::MAX_FAULTS;
use clap::Args;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::Duration;

/// The longest undisturbed time before a fault.
const PEACE: Duration = Duration::from_millis(600);

/// The longest that a writer is waited for at a point.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// Who dies, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A process that writes.
    Worker,
    /// A process that writes, while PostgreSQL has one of its batches.
    WorkerAt(Moment),
    /// The process that follows the tail.
    Follower,
    /// PostgreSQL stops as in a crash.
    Postgres,
    /// PostgreSQL stops as in a crash, while it has a batch.
    PostgresAt(Moment),
    /// PostgreSQL and all its backends are killed.
    PostgresBackends,
    /// NATS.
    Nats,
    /// A relay.
    Relay,
    /// A relay, while NATS has one of its messages.
    RelayAt(Moment),
    /// A process that keeps read models.
    Project,
    /// A process that keeps read models, while PostgreSQL has its commit.
    ProjectAt(Moment),
}

/// Everything that can happen.
const FAULTS: [Fault; 17] = [
    Fault::WorkerAt(Moment::Answered),
    Fault::PostgresAt(Moment::Answered),
    Fault::RelayAt(Moment::Sent),
    Fault::ProjectAt(Moment::Answered),
    Fault::Nats,
    Fault::Worker,
    Fault::WorkerAt(Moment::Half),
    Fault::WorkerAt(Moment::Sent),
    Fault::Follower,
    Fault::Postgres,
    Fault::PostgresAt(Moment::Sent),
    Fault::PostgresBackends,
    Fault::Relay,
    Fault::RelayAt(Moment::Answered),
    Fault::Project,
    Fault::ProjectAt(Moment::Half),
    Fault::ProjectAt(Moment::Sent),
];

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

pub(super) async fn cycle(cycle: &mut Cycle<'_>, faults: u32) -> anyhow::Result<Evidence> {
    let proxies = cycle.proxies().await?;
    let urls: Vec<_> = proxies.iter().map(|proxy| cycle.ground.url_through(proxy.port())).collect();
    let mut staff = Staff::start(cycle, &[Duty::Relay, Duty::Project]).await?;
    let mut crew = Crew::start(cycle, &urls, Manner::default())?;
    crew.at_work().await?;
    let mut schedule = FAULTS;
    schedule.shuffle(&mut cycle.rng);
    for fault in schedule.iter().cycle().take(usize::try_from(faults)?) {
        tokio::time::sleep(PEACE.mul_f64(cycle.rng.random())).await;
        if let Some(what) = commit(*fault, cycle, &mut crew, &mut staff, &proxies).await? {
            cycle.fault(what);
        }
        staff.supervise(cycle).await?;
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Lets a fault happen and mends what has to be mended by somebody; tells what happened, if the
/// point was reached.
async fn commit(
    fault: Fault,
    cycle: &mut Cycle<'_>,
    crew: &mut Crew,
    staff: &mut Staff,
    proxies: &[Proxy],
) -> anyhow::Result<Option<String>> {
    let worker = cycle.rng.random_range(0..proxies.len());
    let second: usize = cycle.rng.random_range(0..2);
    let testbed = cycle.testbed;
    let what = match fault {
        Fault::Worker => {
            crew.reincarnate(cycle, worker).await?;
            format!("worker {worker} killed")
        }
        Fault::WorkerAt(moment) => {
            if !append(&proxies[worker], moment).await {
                return Ok(None);
            }
            crew.reincarnate(cycle, worker).await?;
            format!("worker {worker} killed, append {moment:?}")
        }
        Fault::Follower => {
            crew.reincarnate_follower(cycle).await?;
            "follower killed".to_owned()
        }
        Fault::Postgres => {
            testbed.stack.postgres.stop_immediate().await;
            testbed.stack.postgres.start().await?;
            "PostgreSQL stopped at once".to_owned()
        }
        Fault::PostgresAt(moment) => {
            if !append(&proxies[worker], moment).await {
                return Ok(None);
            }
            testbed.stack.postgres.stop_immediate().await;
            testbed.stack.postgres.start().await?;
            format!("PostgreSQL stopped at once, append of worker {worker} {moment:?}")
        }
        Fault::PostgresBackends => {
            testbed.stack.postgres.kill9().await;
            testbed.stack.postgres.start().await?;
            "PostgreSQL killed".to_owned()
        }
        Fault::Nats => {
            testbed.stack.nats.kill9().await;
            testbed.stack.nats.start().await?;
            "NATS killed".to_owned()
        }
        Fault::Relay | Fault::Project => {
            let duty = if fault == Fault::Relay { Duty::Relay } else { Duty::Project };
            let member = staff.with(duty)[second];
            staff.replace(cycle, member).await?;
            format!("{} killed", staff.name(member))
        }
        Fault::RelayAt(moment) => {
            let trap = Trap { point: Point::Publish, moment, then: Then::Hang };
            let Some(member) = staff.trap(Duty::Relay, trap).await else { return Ok(None) };
            staff.replace(cycle, member).await?;
            format!("{} killed, publish {moment:?}", staff.name(member))
        }
        Fault::ProjectAt(moment) => {
            let trap = Trap { point: Point::ProjectionCommit, moment, then: Then::Hang };
            let Some(member) = staff.trap(Duty::Project, trap).await else { return Ok(None) };
            staff.replace(cycle, member).await?;
            format!("{} killed, commit {moment:?}", staff.name(member))
        }
    };
    Ok(Some(what))
}

/// Waits until a writer hangs in an append.
async fn append(proxy: &Proxy, moment: Moment) -> bool {
    let sprung = proxy.arm(Trap { point: Point::Append, moment, then: Then::Hang });
    let sprung = tokio::time::timeout(APPEND_PATIENCE, sprung).await.is_ok();
    proxy.disarm();
    sprung
}
