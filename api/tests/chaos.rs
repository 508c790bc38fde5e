//! `gomall chaos` in its short form: each scenario finds every promise kept.

mod support;

use serde_json::Value;

/// Plays one cycle of a scenario and gives its line; it must have ended well and left nothing.
fn play(scenario: &str, more: &[&str]) -> Value {
    let directory = support::tempdir::TempDir::new();
    let mut arguments = vec!["chaos", scenario, "--json", "--cycles", "1"];
    arguments.extend(more);
    let environment = [("TMPDIR", directory.text())];
    let output = support::command(&arguments, &environment).output().expect("the binary was built");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
    let cycle: Value = lines.next().expect("one line a cycle");
    let summary: Value = lines.next().expect("one line for all of them");
    assert_eq!((&cycle["scenario"], &summary["cycles"]), (&scenario.into(), &1.into()));
    assert_eq!(cycle["violations"], Value::Array(vec![]));
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("it is ours").collect();
    assert!(left.is_empty(), "{left:?}");
    cycle
}

fn count(cycle: &Value, name: &str) -> u64 {
    cycle[name].as_u64().unwrap_or_else(|| panic!("{name} in {cycle}"))
}

#[test]
fn several_processes_write_and_a_follower_sees_everything_once_and_in_order() {
    let cycle = play("writers", &["--seed", "11", "--clients", "8", "--operations", "24"]);
    assert!(count(&cycle, "acknowledged") > 300, "{cycle}");
    assert!(count(&cycle, "replayed") > 0, "keys were used again: {cycle}");
    assert!(count(&cycle, "refused") > 0, "refusals are answers too: {cycle}");
    assert_eq!(count(&cycle, "followed"), count(&cycle, "events"));
}
