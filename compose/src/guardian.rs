//! The guardian: a small shell process that waits for the owner's death and then stops what the
//! owner can no longer stop. It makes "no process is left behind" true even for `kill -9`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::error::{Doing, StackError};
use crate::process::{ProcessId, groups_end_within, signal_group};
use crate::stack::Durability;

/// A killed process is gone at once; this is only so that nothing waits for ever.
const DISMISSAL_PATIENCE: Duration = Duration::from_secs(1);

const SCRIPT: &str = include_str!("guardian.sh");

/// What a guardian is told.
pub(crate) struct Orders<'a> {
    /// Whose death it waits for.
    pub(crate) owner: ProcessId,
    /// How it stops PostgreSQL: with a checkpoint, or at once.
    pub(crate) durability: Durability,
    /// The directory whose servers it stops.
    pub(crate) servers: &'a Path,
    /// What it removes in the end.
    pub(crate) remove: &'a [PathBuf],
}

/// A running guardian. Dropping the handle leaves it at its work.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

impl Guardian {
    /// Posts a guardian. `lock` is held by it as well from here on.
    pub(crate) fn post(
        data_dir: &Path,
        lock: &File,
        orders: &Orders<'_>,
    ) -> Result<Self, StackError> {
        use std::os::unix::process::CommandExt;
        let script = data_dir.join("guardian.sh");
        let doing = || format!("posting the guardian {}", script.display());
        fs::write(&script, SCRIPT).doing(doing)?;
        let mut command = Command::new("/bin/sh");
        command
            .arg(&script)
            .arg(orders.owner.pid.to_string())
            .arg(orders.owner.started.to_string())
            .arg(match orders.durability {
                Durability::Durable => "fast",
                Durability::Volatile => "immediate",
            })
            .arg(orders.servers)
            .args(orders.remove)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            // The duplicate shares the open file, and with it the lock.
            .stdin(lock.try_clone().doing(doing)?)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at a terminal, or `kill` of our process group, must not reach it.
            .process_group(0);
        command.spawn().map(Self).doing(doing)
    }

    /// Ends a guardian that has nothing left to guard.
    pub(crate) fn dismiss(&mut self) {
        signal_group(self.0.id(), Signal::KILL);
        let _status = self.0.wait();
        groups_end_within(&[self.0.id()], DISMISSAL_PATIENCE);
    }
}
