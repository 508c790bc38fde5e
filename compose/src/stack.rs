//! One PostgreSQL and one nats-server, started and stopped together.

use std::convert::Infallible;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::error::{Doing, StackError};
use crate::guardian::{Guardian, Orders};
use crate::layout::{self, Ports};
use crate::nats::{self, Home, Nats};
use crate::nats_users::NatsUsers;
use crate::postgres::{self, Cluster, Postgres};
use crate::privilege::Account;
use crate::process::{POLL, ProcessId, groups_end_within, name, servers_in, signal, signal_group};
use crate::servers::{NATS, POSTGRES, Progress};

/// Enough for several `serve`, each with its pools.
const CONNECTIONS: u16 = 200;
/// Tests run side by side, each with pools of its own.
const CONNECTIONS_IN_TESTS: u16 = 500;

/// The steps in which servers that nobody holds a handle to are stopped: the signals for
/// PostgreSQL and for the others, and the time until the next step.
const ORDERLY: &[Step] = &[
    (Signal::INT, Signal::TERM, Duration::from_secs(3)),
    (Signal::QUIT, Signal::KILL, Duration::from_secs(1)),
    (Signal::KILL, Signal::KILL, Duration::from_secs(1)),
];
pub(crate) const AT_ONCE: &[Step] = &[
    (Signal::QUIT, Signal::TERM, Duration::from_secs(2)),
    (Signal::KILL, Signal::KILL, Duration::from_secs(1)),
];
pub(crate) type Step = (Signal, Signal, Duration);

/// How long a directory is tried to be removed; what resists is left to the operating system.
const REMOVE_PATIENCE: Duration = Duration::from_secs(1);

/// Whether what PostgreSQL has acknowledged survives the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on disk before it is acknowledged.
    Durable,
    /// Nothing is ever flushed: several times faster, and good for tests only. What was
    /// acknowledged survives a crash of the server, not one of the machine.
    Volatile,
}

/// Whose death ends a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process.
    CurrentProcess,
    /// Another one, for instance the `cargo` that runs several test binaries. The stack then
    /// outlives the [`Stack`] of the process that started it only after
    /// [`Stack::leave_to_owner`].
    Process(ProcessId),
}

/// What kind of stack, and where.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Where the data lives. Created if need be; relative to the current directory.
    pub data_dir: PathBuf,
    /// Whether PostgreSQL flushes.
    pub durability: Durability,
    /// Whose death ends the stack.
    pub owner: Owner,
    /// PostgreSQL's `max_connections`.
    pub max_connections: u16,
    /// Whether the data directory is removed with the stack. Only for directories that the caller
    /// has made for this purpose.
    pub remove_data: bool,
    /// The broker's users; none: it asks nobody who they are.
    pub nats_users: Option<NatsUsers>,
    /// The password of PostgreSQL's superuser, in letters, digits, `-` and `_`; none: it asks nobody who they are.
    pub postgres_password: Option<String>,
}

impl StackOptions {
    /// A stack that keeps what it was told, for the life of this process; its data stays.
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Durable,
            owner: Owner::CurrentProcess,
            max_connections: CONNECTIONS,
            remove_data: false,
            nats_users: None,
            postgres_password: None,
        }
    }

    /// A stack for tests: fast, for many connections, and removed with all its data.
    pub fn throwaway(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            durability: Durability::Volatile,
            max_connections: CONNECTIONS_IN_TESTS,
            remove_data: true,
            ..Self::durable(data_dir)
        }
    }
}

/// How often servers are looked at that may have died: far below what their clients wait for.
const DEATH_POLL: Duration = Duration::from_millis(250);

/// A running PostgreSQL and nats-server.
///
/// [`stop`](Self::stop) ends both in order. Dropping it ends them at once and blocks for some tens
/// of milliseconds; the guardian does it when this process dies.
#[derive(Debug)]
pub struct Stack {
    // Dropped first: it ends the servers, whose handles then reap them.
    supervision: Supervision,
    /// The database server.
    pub postgres: Postgres,
    /// The broker.
    pub nats: Nats,
}

impl Stack {
    /// Starts both servers, and first finds or installs them. What is chosen is told through
    /// `progress`. Whatever a killed run has left on the data directory is stopped first.
    ///
    /// # Errors
    /// [`StackError::AlreadyRunning`] when a living process owns the data directory,
    /// [`StackError::ServerMissing`] with the commands to type, and whatever else kept a server
    /// from starting. Nothing is left running then, nor when the future is dropped.
    pub async fn start(options: StackOptions, progress: Progress<'_>) -> Result<Self, StackError> {
        Self::start_with(options, &[], progress).await
    }

    /// [`start`](Self::start), with paths that the guardian removes as well when it is the one who
    /// ends the stack.
    pub(crate) async fn start_with(
        options: StackOptions,
        guardian_removes: &[PathBuf],
        progress: Progress<'_>,
    ) -> Result<Self, StackError> {
        let (supervision, account) =
            Supervision::begin(&options, guardian_removes, progress).await?;
        let (data_dir, servers) = (&supervision.data_dir, &supervision.servers);
        let major = postgres::cluster_version(servers);
        let for_postgres = POSTGRES.find_or_install(major, &account, progress).await?;
        let for_nats = NATS.find_or_install(None, &account, progress).await?;

        let cluster = Cluster {
            installation: for_postgres,
            account: account.clone(),
            servers: servers.clone(),
            durability: options.durability,
            max_connections: options.max_connections,
            password: options.postgres_password.clone(),
        };
        let home = Home {
            installation: for_nats,
            account,
            servers: servers.clone(),
            name: "nats",
            routes: None,
            users: options.nats_users.clone(),
        };
        let last = Ports::read(data_dir);
        let last_nats = last.map(|p| nats::Ports { client: p.nats, monitor: p.nats_monitor });
        let (postgres, nats) = tokio::try_join!(
            Postgres::launch(cluster, last.map(|ports| ports.postgres)),
            Nats::launch(home, last_nats),
        )?;
        let ports = Ports {
            postgres: postgres.port(),
            nats: nats.ports().client,
            nats_monitor: nats.ports().monitor,
        };
        ports.write(data_dir)?;
        Ok(Self { supervision, postgres, nats })
    }

    /// Starts a server again that died, on its port and with its data, for as long as the future is
    /// polled; `told` hears of every try. One that was stopped stays stopped.
    pub async fn keep_running(&self, told: impl Fn(&str)) -> Infallible {
        loop {
            tokio::time::sleep(DEATH_POLL).await;
            if self.postgres.has_died().await {
                told("PostgreSQL has died; it is started again");
                if let Err(error) = self.postgres.start().await {
                    told(&error.to_string());
                }
            }
            if self.nats.has_died().await {
                told("nats-server has died; it is started again");
                if let Err(error) = self.nats.start().await {
                    told(&error.to_string());
                }
            }
        }
    }

    /// Stops both servers, at the same time and in order: at most five seconds. The data stays,
    /// unless the options said otherwise.
    pub async fn stop(self) {
        tokio::join!(self.postgres.stop(), self.nats.stop());
    }

    /// Forgets the servers without stopping them: they end with the owner that the options named.
    pub fn leave_to_owner(mut self) {
        self.supervision.left_to_owner = true;
    }
}

/// Ends the servers and all that belongs to them when it is dropped: at a stop, at a failed or
/// abandoned start, in a panic.
#[derive(Debug)]
pub(crate) struct Supervision {
    data_dir: PathBuf,
    pub(crate) servers: PathBuf,
    remove: Vec<PathBuf>,
    guardian: Guardian,
    /// The data directory is ours as long as this is open.
    _lock: File,
    left_to_owner: bool,
}

impl Supervision {
    /// Takes the data directory, stops what a killed run has left on it, and posts the guardian.
    /// Also says which account the servers run under.
    pub(crate) async fn begin(
        options: &StackOptions,
        guardian_removes: &[PathBuf],
        progress: Progress<'_>,
    ) -> Result<(Self, Account), StackError> {
        let doing = || format!("preparing {}", options.data_dir.display());
        layout::make_data_dir(&options.data_dir).doing(doing)?;
        let data_dir = options.data_dir.canonicalize().doing(doing)?;
        let owner = match options.owner {
            Owner::CurrentProcess => ProcessId::current().doing(doing)?,
            Owner::Process(owner) => owner,
        };
        let lock = layout::take(&data_dir, owner).await?;
        let account = Account::choose(&data_dir.join("servers/postgres"))?;
        let servers = layout::servers_dir(&data_dir, &account, progress)?;
        if !servers_in(&servers).is_empty() {
            progress("stopping the servers that a killed run has left");
            let servers = servers.clone();
            let stopped = tokio::task::spawn_blocking(move || stop_all(&servers, ORDERLY)).await;
            stopped.map_err(std::io::Error::other).doing(|| "stopping left servers")?;
        }
        let remove =
            if options.remove_data { vec![data_dir.clone(), servers.clone()] } else { vec![] };
        let orders = Orders {
            owner,
            durability: options.durability,
            servers: &servers,
            remove: &[&remove, guardian_removes].concat(),
        };
        let guardian = Guardian::post(&data_dir, &lock, &orders)?;
        let supervision =
            Self { data_dir, servers, remove, guardian, _lock: lock, left_to_owner: false };
        Ok((supervision, account))
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if self.left_to_owner {
            return;
        }
        stop_all(&self.servers, AT_ONCE);
        self.guardian.dismiss();
        for path in &self.remove {
            remove(path);
        }
    }
}

/// Removes a directory that a killed process may be writing its last file to.
pub(crate) fn remove(directory: &Path) {
    let deadline = Instant::now() + REMOVE_PATIENCE;
    while directory.exists() && Instant::now() < deadline {
        if fs::remove_dir_all(directory).is_err() {
            std::thread::sleep(POLL);
        }
    }
}

/// Stops whatever runs on a directory, with ever stronger means, and blocks until it is gone.
///
/// An `initdb` works through servers that do not name the directory. When it is killed they see
/// their input end, and end with their shared memory cleaned up; so the group is only waited for,
/// and killed in the last step.
pub(crate) fn stop_all(servers: &Path, steps: &[Step]) {
    let found: Vec<(ProcessId, Option<String>)> = servers_in(servers)
        .into_iter()
        .filter_map(|pid| Some((ProcessId::of(pid).ok()?, name(pid))))
        .collect();
    let groups: Vec<u32> = found.iter().map(|(leader, _)| leader.pid).collect();
    for (for_postgres, for_others, patience) in steps {
        for (leader, name) in &found {
            if ProcessId::of(leader.pid).is_ok_and(|now| now != *leader) {
                continue; // It is gone, and a stranger has its number.
            }
            match name.as_deref() {
                Some("postgres") => signal_group(leader.pid, *for_postgres),
                Some("initdb") if *for_postgres != Signal::KILL => signal(leader.pid, Signal::KILL),
                Some("initdb") => signal_group(leader.pid, Signal::KILL),
                _ => signal_group(leader.pid, *for_others),
            }
        }
        if groups_end_within(&groups, *patience) {
            return;
        }
    }
}

/// A short name for a path that is the same at every start and different for any other path.
pub(crate) fn fingerprint(path: &Path) -> String {
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
