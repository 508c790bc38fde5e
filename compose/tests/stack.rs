//! The guarantees of the crate, on real servers.
//!
//! A test that needs an owner to kill starts this very binary again, filtered to itself, with the
//! role in the environment.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compose::testing::{TestStack, private};
use compose::{Durability, Stack, StackError, StackOptions};
use sqlx::{Connection, Executor, PgConnection};

/// Where a re-started test binary finds its data directory.
const ROLE: &str = "GOMALL_COMPOSE_TEST_DATA_DIR";

/// A directory that goes with the test, pass or fail.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("compose-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path.canonicalize().expect("it was just made"))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

/// Processes whose command line mentions a path, dead ones left out.
fn processes_mentioning(path: &Path) -> Vec<u32> {
    let path = path.to_str().expect("a plain path");
    let pids = fs::read_dir("/proc").expect("this is Linux").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(path)
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
    let options = StackOptions {
        durability: Durability::Volatile,
        ..StackOptions::durable(data_dir)
    };
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
    sqlx::query("INSERT INTO memory VALUES ($1)")
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

#[tokio::test]
async fn a_stopped_stack_leaves_no_process_and_keeps_its_data_and_ports() {
    let temp = Temp::new("stop");
    let stack = start(&temp.0).await;
    assert!(stack.postgres.create_database("shop").await.expect("it is created"));
    assert!(!stack.postgres.create_database("shop").await.expect("it is there already"));
    remember(&stack, 1).await;
    publish(&stack, "one").await;
    let urls = (stack.postgres.url("shop"), stack.nats.url());
    assert!(!processes_mentioning(&temp.0).is_empty());

    let started = Instant::now();
    stack.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(processes_mentioning(&temp.0), Vec::<u32>::new());

    let stack = start(&temp.0).await;
    assert_eq!((stack.postgres.url("shop"), stack.nats.url()), urls);
    assert_eq!(remembered(&stack).await, [1]);
    assert_eq!(published(&stack).await, Some(1));
    stack.stop().await;
}

#[tokio::test]
async fn a_dropped_or_abandoned_start_leaves_no_process() {
    let temp = Temp::new("drop");
    drop(start(&temp.0).await);
    assert_eq!(processes_mentioning(&temp.0), Vec::<u32>::new());

    // Abandoned while the servers are being started.
    let posted = || temp.0.join("servers/postgres.log.old").exists();
    tokio::select! {
        _ = start(&temp.0) => panic!("a server is not ready before its log is opened"),
        () = eventually("the second start gets as far as the log", Duration::from_secs(20), posted) => {}
    }
    assert_eq!(processes_mentioning(&temp.0), Vec::<u32>::new());
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_and_names_the_owner() {
    let temp = Temp::new("twice");
    let stack = start(&temp.0).await;
    let again = Stack::start(StackOptions::durable(&temp.0), &|_| {}).await;
    match again.expect_err("the directory is in use") {
        StackError::AlreadyRunning { data_dir, owner } => {
            assert_eq!((data_dir.as_path(), owner), (temp.0.as_path(), std::process::id()));
        }
        other => panic!("another refusal: {other}"),
    }
    assert!(stack.postgres.create_database("still_alive").await.expect("the first one goes on"));
    stack.stop().await;
}

#[tokio::test]
async fn after_kill_9_of_the_owner_the_guardian_stops_the_servers_and_a_new_start_finds_the_data() {
    const NAME: &str =
        "after_kill_9_of_the_owner_the_guardian_stops_the_servers_and_a_new_start_finds_the_data";
    if let Some(data_dir) = std::env::var_os(ROLE) {
        let stack = start(Path::new(&data_dir)).await;
        stack.postgres.create_database("shop").await.expect("it is created");
        remember(&stack, 1).await;
        publish(&stack, "one").await;
        println!("\nready");
        return std::future::pending().await;
    }
    let temp = Temp::new("kill");
    let mut owner = as_owner(NAME, &temp.0).spawn().expect("we can be started again");
    wait_for_line(&mut owner, "ready");
    owner.kill().expect("it runs");
    // Not reaped on purpose: a zombie must not count as a living owner. And at once: the new start
    // meets the guardian at its work and has to wait for it.
    let stack = start(&temp.0).await;
    assert_eq!(remembered(&stack).await, [1]);
    assert_eq!(published(&stack).await, Some(1));
    owner.wait().expect("it was killed");
    drop(stack);

    // Once more without a new start: nothing is left.
    let mut owner = as_owner(NAME, &temp.0).spawn().expect("we can be started again");
    wait_for_line(&mut owner, "test ");
    eventually("the stack is up", Duration::from_secs(20), || {
        temp.0.join("stack.json").exists() && processes_mentioning(&temp.0).len() >= 3
    })
    .await;
    owner.kill().expect("it runs");
    owner.wait().expect("it was killed");
    let gone = || processes_mentioning(&temp.0).is_empty();
    eventually("no process is left", Duration::from_secs(5), gone).await;
}

#[tokio::test]
async fn after_kill_9_of_owner_and_guardian_a_new_start_stops_what_is_left() {
    const NAME: &str = "after_kill_9_of_owner_and_guardian_a_new_start_stops_what_is_left";
    if let Some(data_dir) = std::env::var_os(ROLE) {
        let stack = start(Path::new(&data_dir)).await;
        stack.postgres.create_database("shop").await.expect("it is created");
        remember(&stack, 7).await;
        println!("\nready");
        return std::future::pending().await;
    }
    let temp = Temp::new("orphans");
    let mut owner = as_owner(NAME, &temp.0).spawn().expect("we can be started again");
    wait_for_line(&mut owner, "ready");
    let guardians = processes_mentioning(&temp.0.join("guardian.sh"));
    assert_eq!(guardians.len(), 1, "{guardians:?}");
    kill("STOP", owner.id());
    kill("KILL", guardians[0]);
    owner.kill().expect("it runs");
    owner.wait().expect("it was killed");
    let orphans = processes_mentioning(&temp.0.join("servers"));
    assert_eq!(orphans.len(), 2, "PostgreSQL and NATS run on without owner and guardian");

    let said = Mutex::new(Vec::new());
    let stack = Stack::start(StackOptions::durable(&temp.0), &|line| {
        said.lock().expect("nobody panics here").push(line.to_owned());
    })
    .await
    .expect("a new start cleans up");
    let said = said.into_inner().expect("nobody panics here");
    assert!(said.iter().any(|line| line.contains("killed run")), "{said:?}");
    let running = processes_mentioning(&temp.0.join("servers"));
    assert!(orphans.iter().all(|orphan| !running.contains(orphan)));
    assert_eq!(remembered(&stack).await, [7]);
    stack.stop().await;
    assert_eq!(processes_mentioning(&temp.0), Vec::<u32>::new());
}

#[tokio::test]
async fn the_servers_never_run_as_root_and_listen_on_loopback_only() {
    let stack = private(Durability::Volatile).await;
    let pids = [stack.postgres.pid().await, stack.nats.pid().await];
    for pid in pids.map(|pid| pid.expect("it runs")) {
        let uid = fs::metadata(format!("/proc/{pid}")).expect("it runs").uid();
        assert_ne!(uid, 0, "process {pid}");
        let us = fs::metadata("/proc/self").expect("we run").uid();
        assert!(us == 0 || us == uid, "a normal user's servers are that user's");
    }
    let port = stack.postgres.port();
    let elsewhere = std::net::TcpStream::connect(("127.0.0.2", port));
    assert!(elsewhere.is_err(), "127.0.0.2 is this machine, but not where the server listens");
    stack.stop().await;
}

#[tokio::test]
async fn data_that_the_servers_cannot_reach_goes_elsewhere_and_does_not_outlive_its_directory() {
    let temp = Temp::new("closed");
    let closed = temp.0.join("closed");
    let data_dir = closed.join("data");
    fs::create_dir_all(&data_dir).expect("it is ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let root = fs::metadata("/proc/self").expect("we run").uid() == 0;

    let mut homes = Vec::new();
    for round in 1..=2 {
        let stack = start(&data_dir).await;
        assert!(
            stack.postgres.create_database("shop").await.expect("it is created"),
            "round {round} starts without the data of a deleted directory"
        );
        stack.stop().await;
        let home = data_dir.join("servers").canonicalize().expect("it was used");
        assert_eq!(home.starts_with("/var/lib/gomall"), root, "{}", home.display());
        homes.push(home);
        fs::remove_dir_all(&data_dir).expect("it is ours");
    }
    assert_eq!(homes[0], homes[1]);
    if root {
        for left in [homes[0].clone(), homes[0].with_extension("abandoned")] {
            fs::remove_dir_all(left).expect("both rounds left their data");
        }
    }
}

#[tokio::test]
async fn postgres_survives_every_way_of_being_stopped() {
    let stack = private(Durability::Volatile).await;
    stack.postgres.create_database("shop").await.expect("it is created");
    remember(&stack, 1).await;
    stack.postgres.kill9().await;
    PgConnection::connect(&stack.postgres.url("shop")).await.expect_err("it was killed");
    stack.postgres.start().await.expect("it recovers");
    remember(&stack, 2).await;
    stack.postgres.stop_immediate().await;
    stack.postgres.start().await.expect("it recovers");
    remember(&stack, 3).await;
    stack.postgres.restart().await.expect("it starts");
    assert_eq!(remembered(&stack).await, [1, 2, 3]);
    assert!(stack.postgres.drop_database("shop").await.expect("it is dropped"));
    assert!(!stack.postgres.drop_database("shop").await.expect("there is none"));
}

#[tokio::test]
async fn nats_comes_back_on_its_port_with_its_streams_unless_it_is_wiped() {
    let stack = private(Durability::Volatile).await;
    publish(&stack, "one").await;
    let url = stack.nats.url();
    stack.nats.stop().await;
    assert!(stack.nats.pid().await.is_none());
    async_nats::connect(&url).await.expect_err("it is stopped");
    stack.nats.start().await.expect("it starts");
    assert_eq!(stack.nats.url(), url);
    assert_eq!(published(&stack).await, Some(1));
    stack.nats.kill9().await;
    stack.nats.start().await.expect("it starts");
    assert_eq!(published(&stack).await, Some(1));
    stack.nats.wipe().await.expect("it starts empty");
    assert_eq!(published(&stack).await, None);
}

#[tokio::test]
async fn a_private_stack_is_gone_with_its_directory_when_it_is_dropped() {
    let stack = private(Durability::Durable).await;
    let log = stack.postgres.log_path();
    let directory = log.parent().and_then(Path::parent).expect("it lies in the data directory");
    let mut database = connect(&stack.postgres.url("postgres")).await;
    let fsync: String = sqlx::query_scalar("SHOW fsync")
        .fetch_one(&mut database)
        .await
        .expect("the server answers");
    assert_eq!(fsync, "on");
    drop(stack);
    assert_eq!(processes_mentioning(directory), Vec::<u32>::new());
    assert!(!directory.exists());
}

/// Prepares a template and counts how often.
async fn prepare(url: String) {
    let mut database = connect(&url).await;
    let made = "CREATE TABLE made (at timestamptz NOT NULL DEFAULT clock_timestamp()); \
                INSERT INTO made DEFAULT VALUES";
    database.execute(made).await.expect("it is empty");
}

async fn made_at(url: &str) -> String {
    sqlx::query_scalar("SELECT at::text FROM made")
        .fetch_one(&mut connect(url).await)
        .await
        .expect("the template was prepared")
}

#[tokio::test]
async fn a_template_is_prepared_once_and_its_copies_are_separate() {
    let stack = TestStack::shared().await;
    let copies = futures(8, || stack.database_from("once", prepare)).await;
    let first = made_at(copies[0].url()).await;
    for copy in &copies {
        assert_eq!(made_at(copy.url()).await, first, "one preparation for all copies");
    }
    connect(copies[0].url())
        .await
        .execute("DROP TABLE made")
        .await
        .expect("the copy is ours");
    assert_eq!(made_at(copies[1].url()).await, first);

    let empty = stack.database("empty").await;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut connect(empty.url()).await)
        .await
        .expect("the catalogue can be read");
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn a_template_whose_preparation_failed_is_prepared_anew() {
    let stack = TestStack::shared().await;
    let failing = tokio::spawn(stack.database_from("failing", |url| async move {
        prepare(url).await;
        panic!("on purpose");
    }));
    assert!(failing.await.expect_err("it panics").is_panic());
    let copy = stack.database_from("failing", prepare).await;
    assert!(!made_at(copy.url()).await.is_empty());
}

async fn futures<F: Future>(count: usize, make: impl Fn() -> F) -> Vec<F::Output> {
    let mut running: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut outputs = Vec::new();
    for future in &mut running {
        outputs.push(future.as_mut().await);
    }
    outputs
}

#[tokio::test]
async fn the_test_binaries_of_one_cargo_share_a_cluster_that_ends_with_it() {
    const NAME: &str = "the_test_binaries_of_one_cargo_share_a_cluster_that_ends_with_it";
    if std::env::var_os(ROLE).is_some() {
        let stack = TestStack::shared().await;
        let database = stack.database("shared").await;
        connect(database.url()).await;
        println!("\nshared {} {}", database.url(), stack.nats_url());
        return;
    }
    // A shell script named `cargo` that runs this binary twice, then waits for its input to end.
    let temp = Temp::new("cargo");
    let cargo = temp.0.join("cargo");
    fs::write(&cargo, "#!/bin/sh\n\"$@\"; \"$@\"; echo done; read -r line\n").expect("it is ours");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let binary = as_owner(NAME, &temp.0);
    let mut cargo = Command::new(&cargo);
    cargo.arg(binary.get_program()).args(binary.get_args()).env(ROLE, &temp.0);
    cargo.env("TMPDIR", &temp.0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut cargo = cargo.spawn().expect("the script is executable");

    let output = cargo.stdout.take().expect("its output is piped");
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| line != "done").collect();
    let said: Vec<Vec<&str>> = lines
        .iter()
        .filter_map(|line| Some(line.strip_prefix("shared ")?.split(['/', ' ']).collect()))
        .collect();
    let [first, second] = &said[..] else { panic!("both runs say where they are: {lines:?}") };
    assert_eq!(first[2], second[2], "the same PostgreSQL");
    assert_eq!(first[6], second[6], "the same NATS");
    assert_ne!(first[3], second[3], "a database each");

    let left = || {
        let entries = fs::read_dir(&temp.0).expect("it is ours").flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with("gomall-test-")).count()
    };
    assert!(left() > 0, "the cluster lives as long as cargo");
    drop(cargo.stdin.take());
    cargo.wait().expect("its input has ended");
    let gone = || left() == 0 && processes_mentioning(&temp.0).is_empty();
    eventually("everything is gone", Duration::from_secs(3), gone).await;
}
