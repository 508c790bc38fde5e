//! A private PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::PgConnection;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::databases::{self, Copying, MAINTENANCE, SUPERUSER};
use crate::error::{Doing, StackError};
use crate::log;
use crate::ports;
use crate::privilege::Account;
use crate::process::{POLL, ProcessId, ServerProcess, Stop, children_of, signal};
use crate::servers::Installation;
use crate::stack::Durability;

pub(crate) const NAME: &str = "PostgreSQL";

const INITDB_PATIENCE: Duration = Duration::from_secs(120);
/// After a crash up to two gigabytes of log are replayed first.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// One try to connect, while it starts.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
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

/// A cluster's files, and how to start a server on them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) installation: Installation,
    pub(crate) account: Account,
    /// The directory that holds `postgres` (the data) and `postgres.log`.
    pub(crate) servers: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) max_connections: u16,
    /// The superuser's, in letters, digits, `-` and `_`; none: whoever is on this machine is let in.
    pub(crate) password: Option<String>,
}

enum Failure {
    /// It ended, for instance since its port was taken.
    Exited,
    /// It did not answer in time.
    Late,
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

impl Cluster {
    fn data(&self) -> PathBuf {
        self.servers.join("postgres")
    }

    fn log(&self) -> PathBuf {
        self.servers.join("postgres.log")
    }

    fn not_started(&self, failure: &Failure) -> StackError {
        let reason = match failure {
            Failure::Exited => "it ended at once".to_owned(),
            Failure::Late => format!("no answer within {} s", READY_PATIENCE.as_secs()),
        };
        StackError::NotStarted { server: NAME, reason, log: log::tail(&self.log()) }
    }

    fn not_created(&self, reason: String) -> StackError {
        let reason = format!("initdb: {reason}");
        StackError::NotStarted { server: NAME, reason, log: log::tail(&self.log()) }
    }

    /// Creates the cluster beside its place and renames it: an interrupted `initdb` leaves nothing
    /// that looks like a cluster.
    async fn init(&self) -> Result<(), StackError> {
        let new = self.servers.join("postgres.new");
        let doing = || format!("creating the database cluster {}", self.data().display());
        if new.exists() {
            fs::remove_dir_all(&new).doing(doing)?;
        }
        self.account.create_own_dir(&new).doing(doing)?;
        let mut initdb = self.account.command(&self.installation.bin.join("initdb"));
        initdb.arg("-D").arg(&new).args(["-U", SUPERUSER]);
        initdb.args(["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        if self.durability == Durability::Volatile {
            initdb.arg("--no-sync");
        }
        let log = log::append(&self.log()).doing(doing)?;
        // Not as tokio's child: whoever abandons this start has to end the whole process group,
        // since `initdb` starts servers of its own (see `process::servers_in`).
        let mut initdb = ServerProcess::spawn(&mut initdb, log).doing(doing)?;
        if !initdb.exits_within(INITDB_PATIENCE).await {
            return Err(self.not_created(format!("no end of it in {INITDB_PATIENCE:?}")));
        }
        match initdb.exited() {
            Some(status) if status.success() => {}
            status => return Err(self.not_created(format!("{status:?}"))),
        }
        fs::rename(&new, self.data()).doing(doing)?;
        // `initdb` has flushed the files; without this a power cut could undo their new name.
        let synced = fs::File::open(&self.servers).and_then(|directory| directory.sync_all());
        synced.doing(doing)
    }

    /// Lets the cluster ask for its password before anybody can reach it. A cluster of an older build let in
    /// everybody on this machine.
    async fn ask_for_password(&self) -> Result<(), StackError> {
        let Some(password) = &self.password else { return Ok(()) };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(password.chars().all(is_plain), "the caller makes it of plain characters");
        let doing = || format!("protecting the database cluster {}", self.data().display());
        let access = self.data().join("pg_hba.conf");
        let digest = crate::stack::fingerprint(Path::new(password));
        let wanted = format!(
            "# Written by gomall, of password {digest}\nhost all all 127.0.0.1/32 scram-sha-256\n"
        );
        if fs::read_to_string(&access).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        // A server of one session, on its standard input.
        let mut single = self.account.command(&self.installation.bin.join("postgres"));
        single.args(["--single", "-D"]).arg(self.data()).arg(MAINTENANCE);
        let statement = format!("alter role {SUPERUSER} password '{password}';\n");
        let done = async {
            let mut single = tokio::process::Command::from(single);
            single.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut single = single.kill_on_drop(true).spawn()?;
            if let Some(mut input) = single.stdin.take() {
                input.write_all(statement.as_bytes()).await?;
            }
            single.wait_with_output().await
        };
        let late = |_| Err(std::io::ErrorKind::TimedOut.into());
        let output = tokio::time::timeout(READY_PATIENCE, done).await.unwrap_or_else(late);
        let output = output.doing(doing)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).replace(password.as_str(), "…");
            return Err(self.not_created(said));
        }
        // Its owner stays.
        fs::write(&access, wanted).doing(doing)
    }

    /// The settings that differ from PostgreSQL's defaults, each as `name=value`.
    async fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            // A socket's path is limited to 107 bytes, which a temporary directory can exceed.
            "unix_socket_directories=".to_owned(),
            format!("max_connections={}", self.max_connections),
            "shared_buffers=128MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            "logging_collector=off".to_owned(),
            // Compiling a plan pays off in minutes of analysis, not in statements of a shop.
            "jit=off".to_owned(),
        ];
        let more: &[&str] = match self.durability {
            // Commits stay synchronous: without fsync that is one write to the page cache, and it
            // is what lets a fault test expect its data after a kill -9 of the server.
            // Shared memory as files of the data directory goes with it, also after a kill -9.
            Durability::Volatile => {
                &["fsync=off", "full_page_writes=off", "dynamic_shared_memory_type=mmap"]
            }
            // Made for a journal that is only ever appended to: few, late checkpoints, since each
            // makes every page be logged in full once more.
            Durability::Durable => &[
                "max_wal_size=2GB",
                "min_wal_size=256MB",
                "wal_buffers=16MB",
                "checkpoint_timeout=15min",
                "random_page_cost=1.1",
            ],
        };
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        if self.durability == Durability::Durable && self.accepts("wal_compression=lz4").await {
            settings.push("wal_compression=lz4".to_owned());
        }
        settings
    }

    /// Whether this PostgreSQL was built with what a setting needs; otherwise it would not start.
    async fn accepts(&self, setting: &str) -> bool {
        let name = setting.split('=').next().unwrap_or(setting);
        let mut ask = self.account.command(&self.installation.bin.join("postgres"));
        ask.arg("-D").arg(self.data()).args(["-C", name, "-c", setting]);
        let output = tokio::process::Command::from(ask).kill_on_drop(true).output();
        tokio::time::timeout(CONNECT_PATIENCE, output)
            .await
            .is_ok_and(|output| output.is_ok_and(|output| output.status.success()))
    }

    fn spawn(&self, port: u16, settings: &[String]) -> Result<ServerProcess, StackError> {
        let program = self.installation.bin.join("postgres");
        let doing = || format!("starting {}", program.display());
        let mut command = self.account.command(&program);
        command.arg("-D").arg(self.data()).args(["-p", &port.to_string()]);
        settings.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        let log = log::append(&self.log()).doing(doing)?;
        ServerProcess::spawn(&mut command, log).doing(doing)
    }

    /// Waits until the server answers, and makes sure that it is ours and not one that took the
    /// port a moment earlier.
    async fn ready(&self, process: &mut ServerProcess, port: u16) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            let data_directory = async {
                let password = self.password.as_deref();
                let mut connection = databases::connect(port, password, MAINTENANCE).await.ok()?;
                let ask = sqlx::query_scalar::<_, String>("SHOW data_directory");
                ask.fetch_one(&mut connection).await.ok()
            };
            let answer = tokio::time::timeout(CONNECT_PATIENCE, data_directory).await;
            if process.exited().is_some() {
                return Err(Failure::Exited);
            }
            if answer.is_ok_and(|found| found.is_some_and(|found| Path::new(&found) == self.data()))
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::Late);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The major version of the PostgreSQL that wrote a cluster; none if there is no cluster yet.
pub(crate) fn cluster_version(servers: &Path) -> Option<u32> {
    let text = fs::read_to_string(servers.join("postgres/PG_VERSION")).ok()?;
    text.trim().parse().ok()
}
