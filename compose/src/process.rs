//! Processes as Linux shows them below `/proc`: who is alive, who serves which directory, and how
//! to end one within a bound.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often a condition is looked at again while waiting for it.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    /// The process number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl ProcessId {
    /// The calling process.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The living process with this number; `NotFound` when there is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let started = stat(pid)
            .filter(|stat| !stat.dead)
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("process {pid} is not alive"))
            })?
            .started;
        Ok(Self { pid, started })
    }

    /// Whether it still runs. A zombie does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.dead)
    }
}

/// The command name of a process, cut to fifteen bytes by the kernel.
pub(crate) fn name(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

struct Stat {
    dead: bool,
    parent: u32,
    group: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name stands in parentheses and may itself hold any character.
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        dead: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn all_processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What the servers' command lines name; `guardian.sh` has the same list.
const SERVED: [&str; 6] =
    ["postgres", "postgres.new", "nats.conf", "nats-1.conf", "nats-2.conf", "nats-3.conf"];

/// Every server (or `initdb`) that runs on the given directory. Both the command name and one
/// whole argument have to match, so that neither a stranger with a recycled number nor an editor
/// that shows a log file is ever taken for one. Each leads a process group of its own.
pub(crate) fn servers_in(directory: &Path) -> Vec<u32> {
    let places = SERVED.map(|name| directory.join(name));
    all_processes()
        .filter(|pid| {
            let is_server =
                name(*pid).is_some_and(|n| matches!(&*n, "postgres" | "initdb" | "nats-server"));
            is_server
                && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                    line.split(|byte| *byte == 0)
                        .any(|word| places.iter().any(|p| p.as_os_str().as_encoded_bytes() == word))
                })
        })
        .collect()
}

/// The children of a process at this moment.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    all_processes().filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent)).collect()
}

/// Whether a process group has a member that is not dead. A process that is about to die is not:
/// it may still hold files, and its command line is gone already.
pub(crate) fn group_lives(leader: u32) -> bool {
    all_processes().any(|pid| stat(pid).is_some_and(|stat| stat.group == leader && !stat.dead))
}

/// Waits until all of these process groups are gone, and blocks meanwhile.
pub(crate) fn groups_end_within(leaders: &[u32], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while leaders.iter().any(|leader| group_lives(*leader)) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Sends a signal; a process that is already gone is fine.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _already_gone = rustix::process::kill_process(pid, signal);
    }
}

/// Sends a signal to a whole process group; a group that is already gone is fine.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    if let Some(leader) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _already_gone = rustix::process::kill_process_group(leader, signal);
    }
}

/// How to end a server: each signal with the time it gets before the next.
pub(crate) type Stop = [(Signal, Duration)];

/// A server that this process started.
///
/// It holds the standard library's `Child`, which, unlike tokio's, belongs to no runtime: tests
/// start a server in one runtime and stop it in another.
#[derive(Debug)]
pub(crate) struct ServerProcess(Child);

impl ServerProcess {
    /// Starts `command` in a process group of its own, so that Ctrl-C at a terminal reaches only
    /// us and we stop the servers in order.
    pub(crate) fn spawn(command: &mut Command, log: fs::File) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        command.spawn().map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, once it has. Also reaps it.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    pub(crate) async fn exits_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.exited().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// Goes through the steps until it is gone.
    pub(crate) async fn stop(&mut self, steps: &Stop) -> bool {
        for (step, patience) in steps {
            if self.exited().is_none() {
                signal(self.pid(), *step);
            }
            if self.exits_within(*patience).await {
                return true;
            }
        }
        false
    }
}

impl Drop for ServerProcess {
    /// Reaps it if it has ended. Ending it is the supervision's business (`stack.rs`), which also
    /// ends servers that no handle knows.
    fn drop(&mut self) {
        self.exited();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_dead_even_as_a_zombie() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let id = ProcessId::of(child.id()).expect("it was just started");
        assert!(id.is_alive());
        assert!(!ProcessId { started: id.started + 1, ..id }.is_alive(), "a recycled number");
        assert!(children_of(std::process::id()).contains(&id.pid));

        signal(id.pid, Signal::KILL);
        let deadline = Instant::now() + Duration::from_secs(5);
        while id.is_alive() {
            assert!(Instant::now() < deadline, "a killed process is dead before it is reaped");
            std::thread::sleep(POLL);
        }
        child.wait().expect("a child can be waited for");
    }

    #[test]
    fn a_stranger_that_mentions_our_directory_is_no_server() {
        let directory = Path::new("/tmp/gomall-no-such-place");
        let mut stranger = Command::new("sh")
            .args(["-c", "read line", "sh"])
            .arg(directory.join("postgres"))
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh exists");
        assert_eq!(servers_in(directory), Vec::<u32>::new());
        stranger.kill().expect("it waits for a line");
        stranger.wait().expect("a child can be waited for");
    }
}
