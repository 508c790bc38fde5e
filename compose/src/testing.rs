//! Real servers for tests: one cluster a test run, a database and a stream prefix a test.
//!
//! ```no_run
//! # async fn migrate(_url: String) {}
//! #[tokio::test]
//! async fn an_order_is_found_again() {
//!     let stack = compose::testing::TestStack::shared().await;
//!     let database = stack.database_from("gomall", migrate).await;
//!     let stream = stack.unique("orders");
//!     // … connect to database.url() and stack.nats_url() …
//! }
//! ```
//!
//! `cargo test` runs its test binaries as children of one `cargo` process. The cluster belongs to
//! that process: the first test of the first binary starts it, all others find it, and when `cargo`
//! ends, by Ctrl-C or otherwise, the guardian stops it and removes its directory. A test binary
//! that is run by hand has a cluster of its own.
//!
//! Nothing here is bound to a tokio runtime, since every `#[tokio::test]` has its own.

mod eventually;

pub use eventually::{Seen, eventually};

use std::fs::{self, File};
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation};
use sqlx::{Executor, PgConnection};
use tokio::sync::OnceCell;

use crate::cluster::NatsCluster;
use crate::databases::{self, Copying, MAINTENANCE};
use crate::layout::Ports;
use crate::nats;
use crate::process::{self, POLL, ProcessId};
pub use crate::stack::Durability;
use crate::stack::{AT_ONCE, Owner, Stack, StackOptions, remove, stop_all};

/// Another test may be installing servers and creating the cluster.
const START_PATIENCE: Duration = Duration::from_secs(600);
/// How much of a hint goes into a name; PostgreSQL's names end at 63 characters.
const HINT_LENGTH: usize = 24;
/// Directories of test runs are `<temp>/gomall-test-<pid>-<start time>…`.
const PREFIX: &str = "gomall-test-";

/// A memory file system of this size means a machine of at least twice as much, which has room for
/// a few gigabytes of test databases; a container's often has no more than 64 MB.
const PLENTY_BYTES: u64 = 8 << 30;

static SHARED: OnceCell<TestStack> = OnceCell::const_new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The PostgreSQL (without fsync) and nats-server that all tests of a run share.
#[derive(Debug)]
pub struct TestStack {
    ports: Ports,
}

/// A database of one test's own. It goes with the cluster; until then it takes some 8 MB.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// Where to connect to, as superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name, unique within the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TestStack {
    /// The cluster of this test run; the first caller starts it.
    ///
    /// # Panics
    /// When the servers cannot be found, installed or started, with the reason.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(start_or_join).await
    }

    /// An empty database.
    ///
    /// # Panics
    /// When PostgreSQL refuses.
    pub async fn database(&self, hint: &str) -> TestDatabase {
        self.copy_of("template0", hint).await
    }

    /// A copy of a template, which is created and prepared (migrated, seeded) once per run:
    /// `prepare` is given the URL of an empty database and has to close its connections. All
    /// callers that name the same template have to prepare it in the same way.
    ///
    /// # Panics
    /// When PostgreSQL refuses. A panic in `prepare` leaves no template behind.
    pub async fn database_from<F, Fut>(&self, template: &str, prepare: F) -> TestDatabase
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = ()>,
    {
        let template = format!("template_{}", clean(template));
        let mut connection = self.maintenance().await;
        if !exists(&mut connection, &template).await {
            // Held by this connection, so that it goes with us if we panic.
            sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
                .bind(&template)
                .execute(&mut connection)
                .await
                .expect("an advisory lock is waited for");
            if !exists(&mut connection, &template).await {
                self.make_template(&mut connection, &template, prepare).await;
            }
        }
        drop(connection);
        self.copy_of(&template, &template).await
    }

    /// Where NATS clients connect to.
    pub fn nats_url(&self) -> String {
        nats::client_url(self.ports.nats)
    }

    /// Where nats-server's monitoring answers over HTTP.
    pub fn nats_monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.nats_monitor)
    }

    /// A name that no other test of the run has: lower-case letters, digits and underscores only,
    /// good for streams, subjects, consumers and databases.
    pub fn unique(&self, hint: &str) -> String {
        unique(hint)
    }

    async fn maintenance(&self) -> PgConnection {
        databases::connect(self.ports.postgres, None, MAINTENANCE)
            .await
            .expect("the shared PostgreSQL runs until the test run ends")
    }

    async fn copy_of(&self, template: &str, hint: &str) -> TestDatabase {
        let name = unique(hint);
        databases::create(&mut self.maintenance().await, &name, template, Copying::Files)
            .await
            .expect("a unique name on a cluster of our own");
        let url = databases::url(self.ports.postgres, None, &name);
        TestDatabase { name, url }
    }

    /// The template gets its name when it is complete.
    async fn make_template<F, Fut>(&self, connection: &mut PgConnection, name: &str, prepare: F)
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = ()>,
    {
        let unfinished = format!("{name}_unfinished");
        databases::drop(connection, &unfinished).await.expect("nobody else uses it");
        databases::create(connection, &unfinished, "template0", Copying::Files)
            .await
            .expect("it was just dropped");
        prepare(databases::url(self.ports.postgres, None, &unfinished)).await;
        // Closed connections live on in the server for a moment; those that `prepare` has left
        // open would keep every copy from being made.
        let (from, to) = (databases::quote(&unfinished), databases::quote(name));
        for statement in [
            format!("ALTER DATABASE {from} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                 WHERE datname = '{unfinished}'"
            ),
            format!("ALTER DATABASE {from} RENAME TO {to}"),
        ] {
            connection.execute(&*statement).await.expect("an unfinished template is ours alone");
        }
    }
}

/// Where the files of volatile stacks are: in memory on a machine that has plenty of it, which
/// makes a cluster and every copy of a template several times cheaper, else in the temporary
/// directory. A `TMPDIR` that is set is always heeded.
///
/// The answer does not depend on what is free at the moment: all binaries of a run have to agree.
pub fn scratch_dir() -> PathBuf {
    let in_memory = Path::new("/dev/shm");
    let plenty = rustix::fs::statvfs(in_memory)
        .is_ok_and(|about| about.f_blocks.saturating_mul(about.f_frsize) >= PLENTY_BYTES);
    let ours = rustix::fs::access(in_memory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if plenty && ours && std::env::var_os("TMPDIR").is_none() {
        in_memory.to_path_buf()
    } else {
        std::env::temp_dir()
    }
}

/// A stack of one test's own, in a directory that goes with it, for tests that stop, kill or wipe
/// servers. A volatile one lives in [`scratch_dir`], a durable one on disk, in the temporary
/// directory.
///
/// # Panics
/// When the servers cannot be found, installed or started, with the reason.
pub async fn private(durability: Durability) -> Stack {
    let parent = match durability {
        Durability::Durable => std::env::temp_dir(),
        Durability::Volatile => scratch_dir(),
    };
    let options = StackOptions { durability, ..StackOptions::throwaway(private_dir(&parent)) };
    Stack::start(options, &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|error| panic!("a private stack: {error}"))
}

/// A cluster of three nats-servers of one test's own, in a directory below [`scratch_dir`] that
/// goes with it.
///
/// # Panics
/// When the servers cannot be found, installed or started, with the reason.
pub async fn private_cluster() -> NatsCluster {
    NatsCluster::start(private_dir(&scratch_dir()), &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|error| panic!("a private cluster: {error}"))
}

fn private_dir(parent: &Path) -> PathBuf {
    let owner = ProcessId::current().expect("we are alive");
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    run_dir(parent, owner).with_extension(format!("private-{number}"))
}

/// The process that the shared cluster belongs to: the `cargo` that runs us, else ourselves.
fn test_run() -> ProcessId {
    let parent = std::os::unix::process::parent_id();
    let by_cargo =
        process::name(parent).is_some_and(|name| matches!(&*name, "cargo" | "cargo-nextest"));
    by_cargo
        .then(|| ProcessId::of(parent).ok())
        .flatten()
        .unwrap_or_else(|| ProcessId::current().expect("we are alive"))
}

fn run_dir(parent: &Path, run: ProcessId) -> PathBuf {
    parent.join(format!("{PREFIX}{}-{}", run.pid, run.started))
}

async fn start_or_join() -> TestStack {
    let run = test_run();
    let directory = run_dir(&scratch_dir(), run);
    let lock_path = directory.with_extension("lock");
    let lock = File::create(&lock_path).expect("temporary files can be made");
    let deadline = Instant::now() + START_PATIENCE;
    while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        assert!(Instant::now() < deadline, "{} is locked for ever", lock_path.display());
        tokio::time::sleep(POLL).await;
    }
    if let Some(ports) = Ports::read(&directory) {
        return TestStack { ports };
    }
    sweep();
    let options =
        StackOptions { owner: Owner::Process(run), ..StackOptions::throwaway(&directory) };
    let stack = Stack::start_with(options, &[lock_path], &|line| eprintln!("{line}"))
        .await
        .unwrap_or_else(|error| panic!("the test run's stack: {error}"));
    // Its guardian may have done its work before the servers were started.
    assert!(run.is_alive(), "the test run ended while its stack was being started");
    stack.leave_to_owner();
    let ports = Ports::read(&directory).expect("a started stack has written its ports");
    TestStack { ports }
}

/// Removes what runs have left whose guardian was killed as well, servers and all.
fn sweep() {
    let parents = [scratch_dir(), std::env::temp_dir()];
    let entries = parents.iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten();
    let us = rustix::process::geteuid().as_raw();
    for entry in entries {
        let name = entry.file_name();
        let left = name.to_str().and_then(run_of).filter(|run| !run.is_alive());
        if left.is_none() || !entry.metadata().is_ok_and(|about| about.uid() == us) {
            continue;
        }
        let path = entry.path();
        if path.is_file() {
            let _gone_already = fs::remove_file(&path);
        } else if !guarded(&path) {
            let servers = path.join("servers").canonicalize().unwrap_or_else(|_| path.clone());
            stop_all(&servers, AT_ONCE);
            remove(&servers);
            remove(&path);
        }
    }
}

/// The run that a directory of ours belongs to.
fn run_of(name: &str) -> Option<ProcessId> {
    let (run, _) =
        name.strip_prefix(PREFIX)?.split_once('.').unwrap_or((&name[PREFIX.len()..], ""));
    let (pid, started) = run.split_once('-')?;
    Some(ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

/// Whether a guardian is still at work on a directory.
fn guarded(directory: &Path) -> bool {
    File::open(directory.join("stack.lock")).is_ok_and(|lock| {
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
    })
}

async fn exists(connection: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(connection)
        .await
        .expect("the catalogue can be read")
}

fn unique(hint: &str) -> String {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}_{}_{number}", clean(hint), std::process::id())
}

/// The beginning of a hint, in lower-case letters, digits and underscores.
fn clean(hint: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    hint.chars().take(HINT_LENGTH).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_back_from_its_directory() {
        let run = ProcessId { pid: 17, started: 4711 };
        let directory = run_dir(&std::env::temp_dir(), run);
        for path in [&directory, &directory.with_extension("private-3")] {
            let name = path.file_name().and_then(|name| name.to_str()).expect("plain text");
            assert_eq!(run_of(name), Some(run), "{name}");
        }
        assert_eq!(run_of("gomall-test-of-something-else"), None);
    }

    #[test]
    fn unique_names_are_good_for_subjects_and_databases() {
        let names =
            ["Orders.*", "Orders.*", "ünïcode and blanks and far too long a hint"].map(unique);
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.len() <= 63, "{name}");
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(allowed), "{name}");
        }
    }
}
