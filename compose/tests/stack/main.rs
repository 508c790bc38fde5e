//! The guarantees of the crate, on real servers.
//!
//! - `owner.rs`: what happens to the servers when their owner ends, in every way it can;
//! - `cluster.rs`: three nodes, and what is left of them;
//! - `account.rs`: under whose account they run, and where their data then is;
//! - `faults.rs`: servers that are stopped, killed and started again by a test;
//! - `sharing.rs`: the cluster that all tests of a run share.
//!
//! A test that needs an owner to kill starts this very binary again, filtered to itself, with the
//! role in the environment.

mod account;
mod cluster;
mod faults;
mod owner;
mod sharing;
mod users;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use compose::{Durability, ProcessId, Stack, StackOptions};
use sqlx::{Connection, Executor, PgConnection};

/// Where a re-started test binary finds its data directory.
const ROLE: &str = "GOMALL_COMPOSE_TEST_DATA_DIR";

/// A directory that goes with the test, pass or fail, and with it whatever still works on it: a
/// test that has killed owner and guardian and then fails must not leave servers behind.
struct Temp(PathBuf);

impl Temp {
    fn new(parent: &Path, name: &str) -> Self {
        // Named so that the next run removes it if this one is interrupted.
        let run = ProcessId::current().expect("we are alive");
        let path = parent.join(format!("gomall-test-{}-{}.{name}", run.pid, run.started));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path.canonicalize().expect("it was just made"))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        for pid in processes_mentioning(&self.0) {
            let _gone_already =
                Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        }
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

/// Processes whose command line mentions a path or that work below it, dead ones left out.
fn processes_mentioning(path: &Path) -> Vec<u32> {
    let path = path.to_str().expect("a plain path");
    let pids = fs::read_dir("/proc").expect("this is Linux").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(path) || cwd.starts_with(path)
        })
        .collect()
}

async fn eventually(what: &str, patience: Duration, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn uid_of(process: &str) -> u32 {
    fs::metadata(format!("/proc/{process}")).expect("it runs").uid()
}

fn kill(signal: &str, pid: u32) {
    let done = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(done.expect("kill exists").success());
}

/// This test binary, reduced to one test, in the role of a stack's owner.
fn as_owner(test: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("we run"));
    command.args([test, "--exact", "--nocapture"]).env(ROLE, data_dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Waits for a line of the form `<key> <rest>` and gives the rest.
fn wait_for_line(child: &mut Child, key: &str) -> String {
    let output = child.stdout.as_mut().expect("its output is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    lines
        .find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
        .unwrap_or_else(|| panic!("the child ended without saying {key}"))
}

async fn start(data_dir: &Path) -> Stack {
    let options =
        StackOptions { durability: Durability::Volatile, ..StackOptions::durable(data_dir) };
    Stack::start(options, &|line| eprintln!("{line}")).await.expect("a stack starts")
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the database answers")
}

async fn remember(stack: &Stack, number: i64) {
    let mut database = connect(&stack.postgres.url("shop")).await;
    database
        .execute("CREATE TABLE IF NOT EXISTS memory (number bigint PRIMARY KEY)")
        .await
        .expect("a table can be made");
    sqlx::query("INSERT INTO memory VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(number)
        .execute(&mut database)
        .await
        .expect("a row can be written");
}

async fn remembered(stack: &Stack) -> Vec<i64> {
    let mut database = connect(&stack.postgres.url("shop")).await;
    sqlx::query_scalar("SELECT number FROM memory ORDER BY number")
        .fetch_all(&mut database)
        .await
        .expect("the table is there")
}

async fn publish(stack: &Stack, body: &'static str) {
    let client = async_nats::connect(stack.nats.url()).await.expect("NATS answers");
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "MEMORY".into(),
        subjects: vec!["memory".into()],
        ..Default::default()
    };
    jetstream.get_or_create_stream(config).await.expect("a stream can be made");
    let acknowledged = jetstream.publish("memory", body.into()).await.expect("it is sent");
    acknowledged.await.expect("it is stored");
}

async fn published(stack: &Stack) -> Option<u64> {
    let client = async_nats::connect(stack.nats.url()).await.expect("NATS answers");
    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("MEMORY").await.ok()?;
    Some(stream.info().await.expect("the stream is there").state.messages)
}
