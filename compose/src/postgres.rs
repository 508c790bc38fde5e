//! A private PostgreSQL.

mod cluster;

pub(crate) use cluster::{Cluster, cluster_version};

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use crate::databases::{self, Copying, MAINTENANCE};
use crate::error::{Doing, StackError};
use crate::log;
use crate::ports;
use crate::process::{POLL, ProcessId, ServerProcess, Stop, children_of, signal};
use crate::stack::Durability;
use cluster::Failure;

pub(crate) const NAME: &str = "PostgreSQL";

/// After a kill -9 the shared memory of the killed one has to go first.
const RESTART_PATIENCE: Duration = Duration::from_secs(15);
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// `fast` writes a checkpoint; `immediate` leaves the recovery to the next start.
const STOP_FAST: &Stop = &[
    (Signal::INT, Duration::from_secs(3)),
    (Signal::QUIT, Duration::from_secs(1)),
    (Signal::KILL, Duration::from_millis(500)),
];
const STOP_IMMEDIATE: &Stop =
    &[(Signal::QUIT, Duration::from_secs(3)), (Signal::KILL, Duration::from_millis(500))];

/// A PostgreSQL server of our own: reachable over loopback TCP only, with a password where one was given.
///
/// All methods may be called from any runtime and any task.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    port: u16,
    process: Mutex<Option<ServerProcess>>,
}

impl Postgres {
    /// Starts a server, on `preferred_port` if that is free, and waits until it answers. The
    /// cluster is created first if there is none.
    pub(crate) async fn launch(
        cluster: Cluster,
        preferred_port: Option<u16>,
    ) -> Result<Self, StackError> {
        log::rotate(&cluster.log()).doing(|| "rotating PostgreSQL's log")?;
        if !cluster.data().exists() {
            cluster.init().await?;
        }
        cluster.ask_for_password().await?;
        let settings = cluster.settings().await;
        let mut preferred = preferred_port;
        for _ in 0..ports::LOST_RACES {
            let port = ports::free(preferred.take()).doing(|| "looking for a free port")?;
            let mut process = cluster.spawn(port, &settings)?;
            match cluster.ready(&mut process, port).await {
                Ok(()) => {
                    return Ok(Self { cluster, port, process: Mutex::new(Some(process)) });
                }
                Err(Failure::Exited) if log::tail(&cluster.log()).contains("in use") => {}
                Err(failure) => return Err(cluster.not_started(&failure)),
            }
        }
        Err(cluster.not_started(&Failure::Exited))
    }

    /// The port on loopback. It stays the same when the server is started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where to connect to for a database, as every PostgreSQL client understands it. The user is
    /// the superuser.
    pub fn url(&self, database: &str) -> String {
        databases::url(self.port, self.cluster.password.as_deref(), database)
    }

    /// The server's own log file.
    pub fn log_path(&self) -> PathBuf {
        self.cluster.log()
    }

    /// The directory of the server's data. Only to be read, or changed, while the server is stopped.
    pub fn data_path(&self) -> PathBuf {
        self.cluster.data()
    }

    /// The process number of the running server, if it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(ServerProcess::pid)
    }

    /// Creates an empty database; `false` when one of that name was there already.
    pub async fn create_database(&self, name: &str) -> Result<bool, StackError> {
        self.create_database_from_template(name, "template0").await
    }

    /// Creates a database as a copy of another; `false` when one of that name was there already.
    /// Waits (at most ten seconds) for the connections to the template to be closed.
    pub async fn create_database_from_template(
        &self,
        name: &str,
        template: &str,
    ) -> Result<bool, StackError> {
        let copying = match self.cluster.durability {
            Durability::Durable => Copying::Logged,
            Durability::Volatile => Copying::Files,
        };
        databases::create(&mut self.maintenance().await?, name, template, copying).await
    }

    /// Drops a database and ends the connections to it; `false` when there was none.
    pub async fn drop_database(&self, name: &str) -> Result<bool, StackError> {
        databases::drop(&mut self.maintenance().await?, name).await
    }

    /// Stops the server as an operator would: connections are ended, a checkpoint is written. At
    /// most four and a half seconds, with ever stronger means.
    pub async fn stop(&self) {
        self.stop_by(STOP_FAST).await;
    }

    /// Stops the server without a checkpoint, as a crash of the server that the operating system
    /// survives: the next start recovers from the log.
    pub async fn stop_immediate(&self) {
        self.stop_by(STOP_IMMEDIATE).await;
    }

    /// Kills the server and all its backends with SIGKILL.
    pub async fn kill9(&self) {
        let mut process = self.process.lock().await;
        let Some(mut server) = process.take() else { return };
        // Stopped first: it must not fork a backend between our look and the end.
        signal(server.pid(), Signal::STOP);
        let backends: Vec<ProcessId> = children_of(server.pid())
            .into_iter()
            .filter_map(|pid| ProcessId::of(pid).ok())
            .collect();
        signal(server.pid(), Signal::KILL);
        backends.iter().for_each(|backend| signal(backend.pid, Signal::KILL));
        server.exits_within(KILL_PATIENCE).await;
        let deadline = Instant::now() + KILL_PATIENCE;
        while backends.iter().any(|backend| backend.is_alive()) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts the server again, on the same port and data, and waits until it answers. A server
    /// that runs is left alone.
    pub async fn start(&self) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        if process.as_mut().is_some_and(|server| server.exited().is_none()) {
            return Ok(());
        }
        let settings = self.cluster.settings().await;
        let deadline = Instant::now() + RESTART_PATIENCE;
        loop {
            let mut server = self.cluster.spawn(self.port, &settings)?;
            match self.cluster.ready(&mut server, self.port).await {
                Ok(()) => {
                    *process = Some(server);
                    return Ok(());
                }
                Err(Failure::Exited) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                Err(failure) => return Err(self.cluster.not_started(&failure)),
            }
        }
    }

    /// Whether the server has ended without having been stopped.
    pub(crate) async fn has_died(&self) -> bool {
        self.process.lock().await.as_mut().is_some_and(|server| server.exited().is_some())
    }

    /// [`stop`](Self::stop) and [`start`](Self::start).
    pub async fn restart(&self) -> Result<(), StackError> {
        self.stop().await;
        self.start().await
    }

    async fn stop_by(&self, steps: &Stop) {
        if let Some(mut server) = self.process.lock().await.take() {
            server.stop(steps).await;
        }
    }

    async fn maintenance(&self) -> Result<PgConnection, StackError> {
        databases::connect(self.port, self.cluster.password.as_deref(), MAINTENANCE).await
    }
}
