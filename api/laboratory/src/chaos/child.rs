//! Processes of this same binary, which never outlive the one that started them.

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child as Process, Command};

/// How long a process may take to end by itself, at the very most.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// How much of the end of a failed process's log is shown.
const SHOWN_LOG_BYTES: usize = 2_000;

/// What `gomall chaos child` is told: the arguments of the role that it becomes.
#[derive(Debug, Clone, Args)]
pub struct ChildArgs {
    /// The process that this one must not outlive.
    #[arg(long)]
    pub parent: i32,
    /// A role and its arguments.
    #[arg(last = true, required = true)]
    pub role: Vec<String>,
}

/// Becomes another role of this binary, which the kernel kills when its parent dies.
pub(super) fn become_child(args: &ChildArgs) -> anyhow::Result<()> {
    end_with_parent()?;
    // It may have died before it was watched.
    let parent = rustix::process::getppid().map(Pid::as_raw_nonzero);
    anyhow::ensure!(parent.is_some_and(|pid| pid.get() == args.parent), "the parent is gone");
    let error = std::process::Command::new(std::env::current_exe()?).args(&args.role).exec();
    Err(error).context("this binary cannot be started")
}

/// Lets the kernel kill this process when its parent dies, also after it became another program.
pub(super) fn end_with_parent() -> anyhow::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// A running process. Killed when dropped.
pub(super) struct Child {
    name: String,
    process: Process,
    log: PathBuf,
}

impl Child {
    /// Starts `gomall <role>`; what it logs goes to `log`.
    ///
    /// The kernel watches the thread that starts a process: only the one that lives as long as
    /// this process may, which is the one that runs the scenario.
    pub(super) fn start(
        name: impl Into<String>,
        role: &[&str],
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(&log)?;
        let process = Command::new(std::env::current_exe()?)
            .args(["chaos", "child", "--parent", &std::process::id().to_string(), "--"])
            .args(role)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C at a terminal is for the one that runs the scenario.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("this binary cannot be started")?;
        Ok(Self { name: name.into(), process, log })
    }

    /// Whether it has not ended yet.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells it a line on its standard input, and no more.
    pub(super) async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(mut input) = self.process.stdin.take() {
            input.write_all(line.as_bytes()).await?;
            input.write_all(b"\n").await?;
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub(super) async fn kill9(&mut self) -> anyhow::Result<()> {
        if !self.runs() {
            return Ok(());
        }
        self.process.kill().await.with_context(|| format!("killing {}", self.name))
    }

    /// Stops it in the middle of whatever it does; it does not notice.
    pub(super) fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on.
    pub(super) fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn terminate(&mut self) -> anyhow::Result<()> {
        if self.runs() {
            self.signal(Signal::TERM)?;
        }
        self.ended().await.map(|_| ())
    }

    /// Waits until it ends by itself, which it has to do well.
    pub(super) async fn ends_well(&mut self) -> anyhow::Result<()> {
        let status = self.ended().await?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read(&self.log).unwrap_or_default();
        let end = &log[log.len().saturating_sub(SHOWN_LOG_BYTES)..];
        anyhow::bail!("{} failed, {status}: {}", self.name, String::from_utf8_lossy(end))
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(END_PATIENCE, self.process.wait()).await;
        Ok(ended.with_context(|| format!("{} does not end", self.name))??)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.process.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.with_context(|| format!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }
}
