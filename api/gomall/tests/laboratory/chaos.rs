//! `gomall chaos` in its short form: each scenario finds every promise kept.

use crate::support;

use serde_json::Value;

/// Plays one cycle of a scenario and gives its line; it must have ended well and left nothing.
fn play(scenario: &str, more: &[&str]) -> Value {
    play_or_skip(scenario, more).expect("only a full disk needs what a machine may not have")
}

/// The same; none where the machine does not allow it, which the scenario says.
fn play_or_skip(scenario: &str, more: &[&str]) -> Option<Value> {
    let directory = support::tempdir::TempDir::new();
    let mut arguments = vec!["chaos", scenario, "--json", "--cycles", "1"];
    arguments.extend(more);
    let environment = [("TMPDIR", directory.text())];
    let mut command = support::command(&arguments, &environment);
    let output = command.current_dir(directory.path()).output().expect("the binary was built");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
    let cycle: Value = lines.next().expect("one line a cycle");
    if cycle["skipped"].is_string() {
        eprintln!("{cycle}");
        return None;
    }
    let summary: Value = lines.next().expect("one line for all of them");
    assert_eq!((&cycle["scenario"], &summary["cycles"]), (&scenario.into(), &1.into()));
    assert_eq!(cycle["violations"], Value::Array(vec![]));
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("it is ours").collect();
    assert!(left.is_empty(), "{left:?}");
    Some(cycle)
}

fn faults(cycle: &Value) -> Vec<&str> {
    let faults = cycle["faults"].as_array().expect("a list");
    faults.iter().filter_map(Value::as_str).collect()
}

fn count(cycle: &Value, name: &str) -> u64 {
    cycle[name].as_u64().unwrap_or_else(|| panic!("{name} in {cycle}"))
}

#[test]
fn several_processes_write_and_a_follower_sees_everything_once_and_in_order() {
    let cycle = play("writers", &["--seed", "11", "--clients", "6", "--operations", "24"]);
    assert!(count(&cycle, "acknowledged") > 200, "{cycle}");
    assert!(count(&cycle, "replayed") > 0, "keys were used again: {cycle}");
    assert!(count(&cycle, "refused") > 0, "refusals are answers too: {cycle}");
    assert_eq!(count(&cycle, "followed"), count(&cycle, "events"));
}

#[test]
fn processes_and_servers_are_killed_and_nothing_is_lost_doubled_or_reordered() {
    let more = ["--seed", "3", "--processes", "2", "--clients", "4", "--faults", "6"];
    let cycle = play("kill", &more);
    assert!(faults(&cycle).len() >= 4, "points were reached: {cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
    assert_eq!(count(&cycle, "followed"), count(&cycle, "events"));
}

#[test]
fn every_order_is_placed_reserved_and_mailed_once_whoever_dies() {
    // A seed that does not cut a mail off from its record: its lease would be waited for.
    let cycle = play("orders", &["--seed", "7", "--clients", "1", "--faults", "3"]);
    assert!(faults(&cycle).len() > 1, "{cycle}");
    let again = faults(&cycle).last().is_some_and(|fault| fault.ends_with("delivered again"));
    assert!(again, "a mail that was sent was delivered again: {cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn connections_are_cut_in_every_part_of_an_append() {
    let more = ["--processes", "2", "--clients", "4", "--cuts", "9"];
    let cycle = play("cut", &more);
    for moment in ["Half", "Sent", "Answered"] {
        assert!(faults(&cycle).iter().any(|fault| fault.ends_with(moment)), "{moment}: {cycle}");
    }
    assert_eq!(count(&cycle, "unknown"), 0, "the writer finds out by itself: {cycle}");
}

#[test]
fn a_stream_that_is_wiped_cut_short_forked_or_has_holes_becomes_the_copy_again() {
    let cycle = play("stream", &["--processes", "1", "--clients", "2"]);
    let (quiet, busy): (Vec<_>, Vec<_>) =
        faults(&cycle).into_iter().partition(|fault| fault.ends_with("nobody writes"));
    assert_eq!((busy.len(), quiet.len()), (4, 3), "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn holders_of_leases_that_stop_and_come_back_do_no_harm() {
    let more = ["--processes", "2", "--clients", "4", "--pause", "3"];
    let cycle = play("pause", &more);
    assert!(faults(&cycle).iter().any(|fault| fault.ends_with("in an append: true")), "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn clients_that_leave_lose_nothing_acknowledged_and_leave_no_transaction() {
    let more = ["--processes", "2", "--clients", "6", "--seconds", "3"];
    let cycle = play("drop", &more);
    assert!(count(&cycle, "unknown") > 0, "some left: {cycle}");
    assert!(count(&cycle, "acknowledged") > 0, "some stayed: {cycle}");
}

#[test]
fn a_fail_over_that_loses_commits_leaves_nothing_of_them_and_everybody_is_told() {
    let cycle = play("failover", &["--seed", "5"]);
    assert_eq!(faults(&cycle).len(), 4, "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn connections_that_die_without_a_word_hold_nobody_for_ever_and_everybody_is_told() {
    let cycle = play("silence", &["--seed", "5"]);
    assert_eq!(faults(&cycle).len(), 2, "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn a_foreign_message_is_not_published_over_and_is_repaired_by_one_command() {
    let cycle = play("foreign", &["--processes", "1", "--clients", "2"]);
    assert_eq!(faults(&cycle).len(), 2, "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn a_clock_that_was_ahead_and_comes_back_is_said_and_no_key_is_forgotten() {
    let cycle = play("clock", &["--seed", "5"]);
    assert_eq!(faults(&cycle).len(), 4, "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn a_thousand_full_mailboxes_stand_in_nobodys_way() {
    let cycle = play("soft-mail", &["--seed", "5"]);
    assert_eq!(faults(&cycle).len(), 2, "{cycle}");
    assert_eq!(count(&cycle, "published"), count(&cycle, "events"));
}

#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    let more = ["--processes", "2", "--clients", "4", "--faults", "2"];
    let Some(cycle) = play_or_skip("disk-full", &more) else { return };
    assert_eq!(faults(&cycle).len(), 2, "{cycle}");
    assert!(count(&cycle, "acknowledged") > 0, "{cycle}");
}
