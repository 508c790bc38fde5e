//! `gomall bench` in its short form: the figures are there, whatever they are.

use crate::support;

use crate::support::tempdir::TempDir;
use compose::testing::TestStack;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::process::Stdio;

/// Runs a scenario for a moment with these numbers of clients and gives its lines.
async fn bench(scenario: &str, clients: &str) -> Vec<Value> {
    bench_with(&[scenario, "--seconds", "1.5", "--clients", clients]).await
}

/// Runs a scenario with these settings and gives its lines.
async fn bench_with(settings: &[&str]) -> Vec<Value> {
    let stack = TestStack::shared().await;
    let server = stack.database("bench").await;
    let arguments = [&["bench"], settings, &["--json"]].concat();
    let environment = [("DATABASE_URL", server.url()), ("NATS_URL", &stack.nats_url())];
    let mut command = support::command(&arguments, &environment);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it was not cancelled").expect("the binary was built");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Every case is there with its number of clients, in the order of the report.
#[track_caller]
fn has_figures(lines: &[Value], expected: &[(&str, u64)]) {
    let found: Vec<_> =
        lines.iter().map(|line| (line["case"].as_str(), line["clients"].as_u64())).collect();
    let expected: Vec<_> =
        expected.iter().map(|(case, clients)| (Some(*case), Some(*clients))).collect();
    assert_eq!(found, expected);
    for line in lines {
        for figure in ["per_second", "p50_us", "p99_us"] {
            assert!(line[figure].as_f64().is_some_and(|value| value > 0.0), "{figure} in {line}");
        }
        assert_eq!(line["durable"], false, "the servers of the tests do not flush: {line}");
    }
}

/// Ours is compared with these anchors, with positive ratios; nothing else is compared.
#[track_caller]
fn has_ratios(lines: &[Value], ours: &str, anchors: &[&str]) {
    for line in lines {
        for anchor in ["vs_postgres_es", "vs_insert", "vs_bulk"] {
            let compared = line["case"] == ours && anchors.contains(&anchor);
            let ratio = line[anchor].as_f64();
            assert_eq!(ratio.is_some_and(|ratio| ratio > 0.0), compared, "{anchor} in {line}");
        }
    }
}

#[tokio::test]
async fn commands_on_many_aggregates_are_measured_beside_their_anchors() {
    let lines = bench("append", "4").await;
    let cases = [("append", 4), ("postgres_es", 4), ("insert", 4), ("bulk", 1), ("commit", 1)];
    has_figures(&lines, &cases);
    has_ratios(&lines, "append", &["vs_postgres_es", "vs_insert", "vs_bulk"]);
}

#[tokio::test]
async fn commands_on_one_aggregate_are_measured_beside_their_anchor() {
    let lines = bench("hot", "4,1").await;
    let cases = [("hot", 1), ("postgres_es", 1), ("commit", 1)];
    let cases_of_four = [("hot", 4), ("postgres_es", 4), ("commit", 1)];
    has_figures(&lines, &[cases, cases_of_four].concat());
    has_ratios(&lines, "hot", &["vs_postgres_es"]);
}

/// The lines' cases, each of which did something.
#[track_caller]
fn cases(lines: &[Value]) -> Vec<&str> {
    for line in lines {
        assert!(line["per_second"].as_f64().is_some_and(|value| value > 0.0), "{line}");
    }
    lines.iter().filter_map(|line| line["case"].as_str()).collect()
}

#[tokio::test]
async fn copying_to_jetstream_is_measured_beside_publishing() {
    let lines = bench_with(&["relay", "--seconds", "0.1", "--events", "1000"]).await;
    assert_eq!(cases(&lines), ["relay", "publish"]);
    assert!(lines[0]["vs_publish"].as_f64().is_some_and(|ratio| ratio > 0.0), "{lines:?}");
}

#[tokio::test]
async fn rebuilding_is_measured_beside_reading() {
    let lines = bench_with(&["rebuild", "--seconds", "0.1", "--events", "6000"]).await;
    assert_eq!(cases(&lines), ["catalogue", "read", "carts", "read", "orders", "read"]);
    assert!(lines[4]["vs_read"].as_f64().is_some_and(|ratio| ratio > 0.0), "{lines:?}");
}

#[tokio::test]
async fn the_way_from_commit_to_read_model_is_measured_at_half_load() {
    let lines = bench_with(&["lag", "--seconds", "1.5", "--clients", "4"]).await;
    assert_eq!(cases(&lines), ["full", "command", "lag"]);
    assert!(lines[2]["p99_us"].as_f64().is_some_and(|value| value > 0.0), "{lines:?}");
}

#[tokio::test]
async fn a_long_journal_is_measured_beside_a_short_one() {
    let lines = bench_with(&["growth", "--seconds", "1.5", "--events", "6000"]).await;
    assert_eq!(cases(&lines), ["append", "append_short", "load", "load_short"]);
    for (index, line) in lines.iter().enumerate() {
        let cost = line["cost_vs_short"].as_f64();
        assert_eq!(cost.is_some_and(|cost| cost > 0.0), index % 2 == 0, "{line}");
    }
}

#[tokio::test]
async fn only_the_cases_that_were_asked_for_are_measured() {
    let lines = bench_with(&["hot", "--seconds", "1.5", "--clients", "2", "--case", "hot"]).await;
    has_figures(&lines, &[("hot", 2)]);
}

#[tokio::test]
async fn a_case_that_does_not_exist_is_refused_with_those_that_do() {
    let server = TestStack::shared().await.database("bench").await;
    let arguments = ["bench", "hot", "--seconds", "0.3", "--clients", "1", "--case", "cold"];
    let mut command = support::command(&arguments, &[("DATABASE_URL", server.url())]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it was not cancelled").expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("there is no case cold, but hot, postgres_es"), "{said}");
}

#[tokio::test]
async fn a_run_on_a_given_server_leaves_no_database_behind() {
    let server = TestStack::shared().await.database("bench-clean").await;
    let pid = hot_for_a_moment(&[("DATABASE_URL", server.url())]).await;
    let mut connection = PgConnection::connect(server.url()).await.expect("it is up");
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname like $1")
        .bind(format!("gomall_bench_{pid}_%"))
        .fetch_one(&mut connection)
        .await
        .expect("the catalogue is readable");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_run_on_a_private_server_leaves_no_file_behind() {
    let directory = TempDir::new();
    let data_dir = directory.path().join("data");
    let data_dir_text = data_dir.to_str().expect("our own name is UTF-8");
    hot_for_a_moment(&[("GOMALL_DATA_DIR", data_dir_text)]).await;
    assert!(!data_dir.exists());
}

/// Runs to a good end; the process's number.
async fn hot_for_a_moment(environment: &[(&str, &str)]) -> u32 {
    let arguments = ["bench", "hot", "--seconds", "0.1", "--clients", "1"];
    let mut command = support::command(&arguments, environment);
    let mut running = command.stdout(Stdio::null()).spawn().expect("the binary was built");
    let pid = running.id();
    let ended = tokio::task::spawn_blocking(move || running.wait()).await.expect("not cancelled");
    assert!(ended.expect("it is our child").success());
    pid
}
