//! A cluster's files, and how a server is started on them.

use super::NAME;
use crate::databases::{self, MAINTENANCE, SUPERUSER};
use crate::error::{Doing, StackError};
use crate::log;
use crate::privilege::Account;
use crate::process::{POLL, ServerProcess};
use crate::servers::Installation;
use crate::stack::Durability;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const INITDB_PATIENCE: Duration = Duration::from_secs(120);
/// After a crash up to two gigabytes of log are replayed first.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// One try to connect, while it starts.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

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

/// Why a server does not answer.
pub(super) enum Failure {
    /// It ended, for instance since its port was taken.
    Exited,
    /// It did not answer in time.
    Late,
}

impl Cluster {
    pub(super) fn data(&self) -> PathBuf {
        self.servers.join("postgres")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.servers.join("postgres.log")
    }

    pub(super) fn not_started(&self, failure: &Failure) -> StackError {
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
    pub(super) async fn init(&self) -> Result<(), StackError> {
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
    pub(super) async fn ask_for_password(&self) -> Result<(), StackError> {
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
    pub(super) async fn settings(&self) -> Vec<String> {
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

    pub(super) fn spawn(
        &self,
        port: u16,
        settings: &[String],
    ) -> Result<ServerProcess, StackError> {
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
    pub(super) async fn ready(
        &self,
        process: &mut ServerProcess,
        port: u16,
    ) -> Result<(), Failure> {
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
