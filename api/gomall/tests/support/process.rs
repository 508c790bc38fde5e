//! A `gomall` process.

use super::PATIENCE;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A running `gomall`; killed when dropped.
pub(crate) struct Gomall {
    child: Child,
    pub(crate) url: String,
}

/// A `gomall` that is not ready yet; killed when dropped.
pub(crate) struct Starting {
    gomall: Gomall,
    lines: Receiver<String>,
}

impl Starting {
    /// Waits for its ready line.
    pub(crate) fn ready(self) -> Gomall {
        let Self { mut gomall, lines } = self;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).expect("gomall gets ready");
            if let Some(url) = line.strip_prefix("ready ") {
                gomall.url = url.to_owned();
                return gomall;
            }
        }
    }

    /// Asks it to stop and waits for that; how long it took.
    pub(crate) fn terminate(self) -> Duration {
        self.gomall.terminate()
    }
}

impl Gomall {
    /// Starts `gomall <arguments>` and waits for its ready line.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(arguments, environment)).ready()
    }

    /// Starts a [`command`].
    pub(crate) fn spawn(mut command: Command) -> Starting {
        let mut child =
            command.stdout(Stdio::piped()).spawn().expect("the binary was built with the test");
        let output = child.stdout.take().expect("it is piped");
        // From here on it ends with us, whatever happens.
        let gomall = Self { child, url: String::new() };
        let (sender, lines) = std::sync::mpsc::channel();
        // Keeps reading, so that the process never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Starting { gomall, lines }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill9(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop and waits for that; how long it took.
    pub(crate) fn terminate(mut self) -> Duration {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "it ends in order: {status}");
        begun.elapsed()
    }
}

impl Drop for Gomall {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `gomall <arguments>`, logging to a file that a failing test can be looked up in.
pub(crate) fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gomall"));
    command.args(arguments).env("GOMALL_LIMITS", "off").env("GOMALL_LOG", "info");
    command.env("GOMALL_SANDBOX", "true");
    command.envs(environment.iter().copied()).stdin(Stdio::null());
    command
}
