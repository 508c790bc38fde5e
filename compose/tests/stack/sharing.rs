use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use compose::testing::TestStack;
use sqlx::Executor;

use crate::{ROLE, Temp, as_owner, connect, eventually, processes_mentioning};

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
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..8 {
        at_once.spawn(stack.database_from("once", prepare));
    }
    let copies = at_once.join_all().await;
    let first = made_at(copies[0].url()).await;
    for copy in &copies {
        assert_eq!(made_at(copy.url()).await, first, "one preparation for all copies");
    }
    connect(copies[0].url()).await.execute("DROP TABLE made").await.expect("the copy is ours");
    assert_eq!(made_at(copies[1].url()).await, first);

    let empty = stack.database("empty").await;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
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

#[tokio::test]
async fn the_test_binaries_of_one_cargo_share_a_cluster_that_ends_with_it() {
    const NAME: &str = "sharing::the_test_binaries_of_one_cargo_share_a_cluster_that_ends_with_it";
    if std::env::var_os(ROLE).is_some() {
        let stack = TestStack::shared().await;
        let database = stack.database("shared").await;
        connect(database.url()).await;
        println!("\nshared {} {}", database.url(), stack.nats_url());
        return;
    }
    // A shell script named `cargo` that runs this binary twice, then waits for its input to end.
    let temp = Temp::new(&std::env::temp_dir(), "cargo");
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
