//! The scenarios: what is done to the system, one file each.
//!
//! The next one is a file with what it is told (its `…Args`, over [`ChaosArgs`]) and a function
//! `cycle`, which breaks something and gives the evidence of everybody; a variant of [`Scenario`];
//! and a line in [`run`]. A test in `api/gomall/tests/laboratory/chaos.rs` plays it in its short form, and
//! `docs/chaos.md` says what it does and which bug it was seen to find.

mod clock;
mod cut;
mod disk_full;
mod drop;
mod failover;
mod foreign;
mod kill;
mod orders;
mod pause;
mod silence;
mod soft_mail;
mod stream;
mod writers;

use super::cycle::Cycle;
use super::{ChaosArgs, child, follow, play, play_on, work};
use api::stop::told_to_stop;
use clap::Subcommand;
use cut::CutArgs;
use disk_full::DiskFullArgs;
use drop::DropArgs;
use kill::KillArgs;
use orders::OrdersArgs;
use pause::PauseArgs;
use std::time::Duration;
use writers::WritersArgs;

/// The most operations of one client: histories and journal are judged in memory.
const MAX_OPERATIONS: u32 = 10_000;

/// The most faults of one cycle.
const MAX_FAULTS: u32 = 1_000;

/// The longest that one cycle is told to last.
const MAX_SECONDS: u32 = 3_600;

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
    /// A standby that was behind takes over: acknowledged commits are gone.
    Failover(ChaosArgs),
    /// Connections die without a word.
    Silence(ChaosArgs),
    /// Somebody else publishes to the stream.
    Foreign(ChaosArgs),
    /// The database's clock was ahead and comes back.
    Clock(ChaosArgs),
    /// A thousand mailboxes are full.
    SoftMail(ChaosArgs),
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

impl Scenario {
    /// What is logged; processes of a run write their logs to files.
    pub fn log_filter(&self) -> &'static str {
        match self {
            Self::Work(_) | Self::Follow(_) => "info",
            _ => "error",
        }
    }
}

/// Plays what was asked for.
///
/// # Errors
/// When it cannot be played, or a promise was broken.
pub async fn run(scenario: Scenario) -> anyhow::Result<()> {
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
            play("drop", &chaos, all, async |cycle| drop::cycle(cycle, length).await).await
        }
        Scenario::Failover(chaos) => play("failover", &chaos, all, failover::cycle).await,
        Scenario::Silence(chaos) => play("silence", &chaos, all, silence::cycle).await,
        Scenario::Foreign(chaos) => play("foreign", &chaos, all, foreign::cycle).await,
        Scenario::Clock(chaos) => play("clock", &chaos, all, clock::cycle).await,
        Scenario::SoftMail(chaos) => play("soft-mail", &chaos, all, soft_mail::cycle).await,
        Scenario::DiskFull(DiskFullArgs { chaos, faults, inside }) => match inside {
            None => disk_full::on_own_disk(chaos.json, told_to_stop()?).await,
            Some(directory) => {
                child::end_with_parent()?;
                let scenario = async |cycle: &mut Cycle<'_>| disk_full::cycle(cycle, faults).await;
                let (disk, notes) = (directory.join("disk"), Some(directory.as_path()));
                play_on(&disk, notes, "disk-full", &chaos, all, scenario).await
            }
        },
        Scenario::Work(args) => work::run(args).await,
        Scenario::Follow(args) => follow::run(args).await,
        Scenario::Child(args) => child::become_child(&args),
    }
}
