//! PostgreSQL's disk is full: a small one of its own, in a mount namespace that goes with the run.
//!
//! Where the machine does not allow that, the scenario says so and is skipped.

use super::super::ChaosArgs;
use super::super::check::Evidence;
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::patiently;
use super::super::staff::{Duty, Staff};
use super::MAX_FAULTS;
use anyhow::Context as _;
use clap::Args;
use rand::Rng;
use rustix::process::Signal;
use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// The disk: a fresh cluster, a few databases and some segments of the log.
const DISK_MEGABYTES: u32 = 320;

/// The longest that it stays full.
const FULL: Duration = Duration::from_millis(2_500);

/// What the disk is filled with at a time.
static FILLER: [u8; 64 << 10] = [7; 64 << 10];

/// Makes a file system in memory for everything of the run, in it a small one for the servers, and
/// becomes what comes behind.
const SCRIPT: &str = "mount -t tmpfs gomall-chaos \"$1\" && mkdir \"$1/disk\" && \
     mount -t tmpfs -o \"size=$2m\" gomall-chaos \"$1/disk\" && shift 2 && exec \"$@\"";

/// Runs this binary once more, on a disk of its own, or says why that cannot be.
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

pub(super) async fn on_own_disk(json: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("gomall-chaos-disk-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = run(&directory, json, stop).await;
    std::fs::remove_dir(&directory)?;
    result
}

async fn run(directory: &Path, json: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let probe = unshared(directory).arg("true").output().await;
    let reason = match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(reason) = reason {
        if json {
            println!("{}", json!({ "scenario": "disk-full", "skipped": reason }));
        } else {
            println!("disk-full: skipped, no disk of its own can be mounted: {reason}");
        }
        return Ok(());
    }
    let mut inside = unshared(directory)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .arg(directory)
        .kill_on_drop(true)
        .process_group(0)
        .spawn()?;
    let pid = inside.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    let status = tokio::select! {
        status = inside.wait() => status?,
        () = stop.cancelled() => {
            if let Some(pid) = pid {
                rustix::process::kill_process(pid, Signal::TERM)?;
            }
            inside.wait().await?
        }
    };
    anyhow::ensure!(status.success(), "disk-full failed, {status}");
    Ok(())
}

/// A command in a mount namespace with both file systems; its process is the one that it names.
fn unshared(directory: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        // Inside a namespace of users one may mount without being root outside.
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["sh", "-c", SCRIPT, "sh"]).arg(directory).arg(DISK_MEGABYTES.to_string());
    command
}

pub(super) async fn cycle(cycle: &mut Cycle<'_>, faults: u32) -> anyhow::Result<Evidence> {
    let mut staff = Staff::start(cycle, &[Duty::Project]).await?;
    let mut crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.at_work().await?;
    for number in 0..faults {
        // In turns: data does not fit any more, which refuses a statement; the log does not, which
        // ends the server.
        let is_log = number % 2 == 1;
        let left: u64 = cycle.rng.random_range(0..16);
        let what = if is_log { "the log" } else { "the data" };
        cycle.fault(format!("no space for {what}, {left} pages left"));
        let filler = cycle.testbed.servers.join("filler");
        fill(&filler, left * 4_096)?;
        if is_log && let Ok(mut connection) = cycle.ground.options.connect().await {
            let _the_server_may_go = connection.execute("select pg_switch_wal()").await;
        }
        tokio::time::sleep(FULL.mul_f64(cycle.rng.random_range(0.3..1.0))).await;
        std::fs::remove_file(&filler)?;
        patiently("PostgreSQL", async || {
            cycle.testbed.stack.postgres.start().await?;
            // One try: a server that was alive a moment ago may have ended since.
            cycle.ground.options.connect().await?.close().await?;
            Ok(())
        })
        .await?;
        staff.supervise(cycle).await?;
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Takes all space but `left` bytes.
fn fill(path: &Path, left: u64) -> anyhow::Result<()> {
    let mut filler = File::create(path)?;
    let full = loop {
        if let Err(error) = filler.write_all(&FILLER) {
            break error;
        }
    };
    anyhow::ensure!(full.kind() == std::io::ErrorKind::StorageFull, "filling the disk: {full}");
    let size = filler.metadata().context("the filler's size")?.len();
    filler.set_len(size.saturating_sub(left))?;
    Ok(())
}
