use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compose::testing::scratch_dir;
use compose::{Stack, StackError, StackOptions};

use crate::{
    ROLE, Temp, as_owner, eventually, kill, processes_mentioning, publish, published, remember,
    remembered, start, wait_for_line,
};

#[tokio::test]
async fn a_stopped_stack_leaves_no_process_and_keeps_its_data_and_ports() {
    let temp = Temp::new(&scratch_dir(), "stop");
    let stack = start(&temp.0).await;
    assert!(stack.postgres.create_database("shop").await.expect("it is created"));
    assert!(!stack.postgres.create_database("shop").await.expect("it is there already"));
    remember(&stack, 1).await;
    publish(&stack, "one").await;
    let urls = (stack.postgres.url("shop"), stack.nats.url());
    assert!(!processes_mentioning(&temp.0).is_empty());
    for pid in [stack.postgres.pid().await, stack.nats.pid().await] {
        let pid = pid.expect("it runs");
        assert_eq!(group_of(pid), pid, "Ctrl-C at our terminal must not reach the servers");
    }

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
    let temp = Temp::new(&scratch_dir(), "drop");
    // While the cluster is being created, which `initdb` does through servers of its own.
    abandoned_when(&temp.0, "servers/postgres.new/PG_VERSION").await;
    // While the servers are being started on it.
    drop(start(&temp.0).await);
    assert_eq!(processes_mentioning(&temp.0), Vec::<u32>::new());
    fs::remove_file(temp.0.join("servers/postgres.log.old")).expect("the log was rotated");
    abandoned_when(&temp.0, "servers/postgres.log.old").await;
}

fn group_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("the kernel's format");
    fields.split(' ').nth(2).expect("the kernel's format").parse().expect("a number")
}

/// Drops a start at the moment at which a file appears.
async fn abandoned_when(data_dir: &Path, file: &str) {
    let appeared = || data_dir.join(file).exists();
    tokio::select! {
        _ = start(data_dir) => panic!("{file} appears before the servers are ready"),
        () = eventually(file, Duration::from_secs(20), appeared) => {}
    }
    assert_eq!(processes_mentioning(data_dir), Vec::<u32>::new(), "abandoned at {file}");
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_and_names_the_owner() {
    let temp = Temp::new(&scratch_dir(), "twice");
    let stack = start(&temp.0).await;
    // In a task, which also shows that a start may move between threads.
    let again = tokio::spawn(Stack::start(StackOptions::durable(&temp.0), &|_| {}));
    match again.await.expect("no panic").expect_err("the directory is in use") {
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
    const NAME: &str = "owner::after_kill_9_of_the_owner_the_guardian_stops_the_servers_and_a_new_start_finds_the_data";
    if let Some(data_dir) = std::env::var_os(ROLE) {
        let stack = start(Path::new(&data_dir)).await;
        stack.postgres.create_database("shop").await.expect("it is created");
        remember(&stack, 1).await;
        publish(&stack, "one").await;
        println!("\nready");
        return std::future::pending().await;
    }
    let temp = Temp::new(&scratch_dir(), "kill");
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
    wait_for_line(&mut owner, "ready");
    owner.kill().expect("it runs");
    owner.wait().expect("it was killed");
    let gone = || processes_mentioning(&temp.0).is_empty();
    eventually("no process is left", Duration::from_secs(5), gone).await;
}

#[tokio::test]
async fn after_kill_9_of_owner_and_guardian_a_new_start_stops_what_is_left() {
    const NAME: &str = "owner::after_kill_9_of_owner_and_guardian_a_new_start_stops_what_is_left";
    if let Some(data_dir) = std::env::var_os(ROLE) {
        let stack = start(Path::new(&data_dir)).await;
        stack.postgres.create_database("shop").await.expect("it is created");
        remember(&stack, 7).await;
        println!("\nready");
        return std::future::pending().await;
    }
    let temp = Temp::new(&scratch_dir(), "orphans");
    let mut owner = as_owner(NAME, &temp.0).spawn().expect("we can be started again");
    wait_for_line(&mut owner, "ready");
    let guardians = processes_mentioning(&temp.0.join("guardian.sh"));
    assert_eq!(guardians.len(), 1, "{guardians:?}");
    kill("STOP", owner.id());
    kill("KILL", guardians[0]);
    owner.kill().expect("it runs");
    owner.wait().expect("it was killed");
    let orphans = processes_mentioning(&temp.0.join("servers"));
    assert!(orphans.len() >= 2, "PostgreSQL and NATS run on without owner and guardian");

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
