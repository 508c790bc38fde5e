//! A private nats-server with JetStream, alone or as a node of a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::error::{Doing, StackError};
use crate::log;
use crate::nats_users::{self, NatsUsers};
use crate::ports;
use crate::privilege::Account;
use crate::process::{POLL, ServerProcess, Stop, signal};
use crate::servers::Installation;

pub(crate) const NAME: &str = "nats-server";

/// Opening a store of millions of messages takes a while.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// One try to connect, while it starts.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
const RESTART_PATIENCE: Duration = Duration::from_secs(10);
const KILL_PATIENCE: Duration = Duration::from_secs(5);

const STOP: &Stop =
    &[(Signal::TERM, Duration::from_secs(3)), (Signal::KILL, Duration::from_millis(500))];

/// A nats-server of our own with JetStream: reachable over loopback only, without a password, with
/// the server's default limits (1 MB a message) and its lazy fsync.
///
/// All methods may be called from any runtime and any task.
#[derive(Debug)]
pub struct Nats {
    home: Home,
    ports: Ports,
    process: Mutex<Option<ServerProcess>>,
}

/// A broker's files, and how to start a server on them.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) installation: Installation,
    pub(crate) account: Account,
    /// The directory that holds `<name>` (the store), `<name>.conf` and `<name>.log`.
    pub(crate) servers: PathBuf,
    /// `nats`, or what a cluster calls its nodes. Guardian and clean-up know all of these names.
    pub(crate) name: &'static str,
    /// How it finds the other nodes of its cluster, if it is one of several.
    pub(crate) routes: Option<Routes>,
    /// Whom it asks for a password, if anybody.
    pub(crate) users: Option<NatsUsers>,
}

/// Where the nodes of a cluster speak to each other, on loopback.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pub(crate) own: u16,
    pub(crate) all: Vec<u16>,
}

/// The ports of a broker on loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) monitor: u16,
}

enum Failure {
    Exited,
    Late,
}

impl Nats {
    /// Starts a server, on `preferred` ports as far as they are free, and waits until it answers.
    pub(crate) async fn launch(home: Home, preferred: Option<Ports>) -> Result<Self, StackError> {
        home.create_store()?;
        log::rotate(&home.log()).doing(|| "rotating nats-server's log")?;
        let mut preferred = preferred;
        for _ in 0..ports::LOST_RACES {
            let wanted = preferred.take();
            let free = |port| ports::free(port).doing(|| "looking for a free port");
            let client = free(wanted.map(|ports| ports.client))?;
            let mut monitor = free(wanted.map(|ports| ports.monitor))?;
            while monitor == client {
                monitor = free(None)?;
            }
            let ports = Ports { client, monitor };
            let mut process = home.spawn(ports)?;
            match home.ready(&mut process, client).await {
                Ok(()) => return Ok(Self { home, ports, process: Mutex::new(Some(process)) }),
                Err(Failure::Exited) if log::tail(&home.log()).contains("in use") => {}
                Err(failure) => return Err(home.not_started(&failure)),
            }
        }
        Err(home.not_started(&Failure::Exited))
    }

    /// Where the shop connects to, with its password if it has one. It stays the same when the server is
    /// started again.
    pub fn url(&self) -> String {
        self.url_of("shop", |users| &users.shop)
    }

    /// Where those connect to who only read the stream.
    pub fn read_url(&self) -> String {
        self.url_of("analyst", |users| &users.analyst)
    }

    fn url_of(&self, user: &str, password: fn(&NatsUsers) -> &String) -> String {
        match &self.home.users {
            None => client_url(self.ports.client),
            Some(users) => {
                format!("nats://{user}:{}@127.0.0.1:{}", password(users), self.ports.client)
            }
        }
    }

    /// Where the server's monitoring (`/healthz`, `/jsz`, `/varz`) answers over HTTP.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitor)
    }

    /// Where the server keeps its streams. A test may damage what is there while the server is down.
    pub fn store_path(&self) -> PathBuf {
        self.home.store()
    }

    /// The server's own log file.
    pub fn log_path(&self) -> PathBuf {
        self.home.log()
    }

    /// The process number of the running server, if it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(ServerProcess::pid)
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// What it calls itself to other servers.
    pub(crate) fn server_name(&self) -> String {
        self.home.server_name()
    }

    /// Stops the server; its streams stay. At most three and a half seconds.
    pub async fn stop(&self) {
        if let Some(mut server) = self.process.lock().await.take() {
            server.stop(STOP).await;
        }
    }

    /// Kills the server with SIGKILL; what it had handed to the operating system stays.
    pub async fn kill9(&self) {
        if let Some(mut server) = self.process.lock().await.take() {
            signal(server.pid(), Signal::KILL);
            server.exits_within(KILL_PATIENCE).await;
        }
    }

    /// Starts the server again, on the same ports and store, and waits until it answers. A server
    /// that runs is left alone.
    pub async fn start(&self) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        if process.as_mut().is_some_and(|server| server.exited().is_none()) {
            return Ok(());
        }
        self.home.create_store()?;
        let deadline = Instant::now() + RESTART_PATIENCE;
        loop {
            let mut server = self.home.spawn(self.ports)?;
            match self.home.ready(&mut server, self.ports.client).await {
                Ok(()) => {
                    *process = Some(server);
                    return Ok(());
                }
                Err(Failure::Exited) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                Err(failure) => return Err(self.home.not_started(&failure)),
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

    /// Loses everything: stops the server, deletes its store and starts it empty on the same ports.
    pub async fn wipe(&self) -> Result<(), StackError> {
        self.stop().await;
        fs::remove_dir_all(self.home.store()).doing(|| "deleting nats-server's store")?;
        self.start().await
    }
}

impl Home {
    fn store(&self) -> PathBuf {
        self.servers.join(self.name)
    }

    fn log(&self) -> PathBuf {
        self.servers.join(format!("{}.log", self.name))
    }

    fn not_started(&self, failure: &Failure) -> StackError {
        let reason = match failure {
            Failure::Exited => "it ended at once".to_owned(),
            Failure::Late => format!("no answer within {} s", READY_PATIENCE.as_secs()),
        };
        StackError::NotStarted { server: NAME, reason, log: log::tail(&self.log()) }
    }

    fn create_store(&self) -> Result<(), StackError> {
        if self.store().exists() {
            return Ok(());
        }
        let doing = || format!("creating {}", self.store().display());
        self.account.create_own_dir(&self.store()).doing(doing)
    }

    /// Tells our server from any other that may have taken the port; the path makes it unique.
    fn server_name(&self) -> String {
        format!("gomall-{}", crate::stack::fingerprint(&self.store()))
    }

    fn spawn(&self, ports: Ports) -> Result<ServerProcess, StackError> {
        use std::os::unix::fs::PermissionsExt;
        let program = self.installation.bin.join("nats-server");
        let doing = || format!("starting {}", program.display());
        let config = self.servers.join(format!("{}.conf", self.name));
        fs::write(&config, self.config(ports)).doing(doing)?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).doing(doing)?;
        let mut command = self.account.command(&program);
        command.arg("-c").arg(&config);
        command.envs(self.users.iter().flat_map(NatsUsers::environment));
        let log = log::append(&self.log()).doing(doing)?;
        ServerProcess::spawn(&mut command, log).doing(doing)
    }

    fn config(&self, ports: Ports) -> String {
        let Ports { client, monitor } = ports;
        let name = self.server_name();
        let store = quote(&self.store());
        format!(
            "# Written at every start.\n\
             server_name: {name}\n\
             listen: \"127.0.0.1:{client}\"\n\
             http: \"127.0.0.1:{monitor}\"\n\
             max_payload: 1MB\n\
             jetstream {{ store_dir: {store} }}\n\
             {}{}",
            self.routes.as_ref().map(|routes| self.cluster_config(routes)).unwrap_or_default(),
            self.users.as_ref().map_or("", |_| nats_users::CONFIG),
        )
    }

    /// The cluster's name keeps out a stranger's node that was given one of our ports.
    fn cluster_config(&self, routes: &Routes) -> String {
        let name = crate::stack::fingerprint(&self.servers);
        let own = routes.own;
        let others = routes.all.iter().filter(|port| **port != own);
        let urls: Vec<String> = others.map(|port| format!("\"{}\"", client_url(*port))).collect();
        format!(
            "cluster {{ name: \"gomall-{name}\", listen: \"127.0.0.1:{own}\", routes: [{}] }}\n",
            urls.join(", ")
        )
    }

    /// Waits for the greeting, which the server sends after it has opened JetStream's store, and
    /// makes sure that it is ours and not of one that took the port a moment earlier.
    async fn ready(&self, process: &mut ServerProcess, port: u16) -> Result<(), Failure> {
        let name = self.server_name();
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            let greeting = tokio::time::timeout(CONNECT_PATIENCE, greeting(port)).await;
            if process.exited().is_some() {
                return Err(Failure::Exited);
            }
            if let Ok(Some(info)) = greeting
                && info["server_name"] == name.as_str()
                && info["jetstream"] == true
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

/// Where clients of the broker on a port connect to.
pub(crate) fn client_url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

/// The first line that a server sends: `INFO {…}`.
async fn greeting(port: u16) -> Option<serde_json::Value> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.ok()?;
    serde_json::from_str(line.strip_prefix("INFO ")?).ok()
}

/// A string as nats-server's configuration format has it.
fn quote(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_does_not_break_the_configuration() {
        assert_eq!(quote(Path::new("/tmp/a \"b\" \\c")), r#""/tmp/a \"b\" \\c""#);
    }
}
