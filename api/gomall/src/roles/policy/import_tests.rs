use super::super::file::Placed;
use super::*;
use cqrs_es::Aggregate as _;
use domain::policy::{Effect, MethodSelector, PolicyEvent, RoleSelector};

fn rule(path: &str, note: &str) -> Rule {
    Rule {
        effect: Effect::Allow,
        roles: vec![RoleSelector::Any],
        methods: vec![MethodSelector::Any],
        path: path.to_owned(),
        note: note.to_owned(),
    }
}

fn file(rules: &[Rule]) -> Vec<Placed<Rule>> {
    rules.iter().map(|value| Placed { line: 1, value: value.clone() }).collect()
}

/// The policy of these rules, whose ids are 1, 2, 3 and so on.
fn policy(rules: &[Rule]) -> Policy {
    let mut policy = Policy::default();
    for (number, rule) in (1_u128..).zip(rules) {
        let rule_id = Uuid::from_u128(number).into();
        policy.apply(PolicyEvent::RuleAdded { rule_id, rule: rule.clone() });
    }
    policy
}

fn ids(held: &[Rule], wanted: &[Rule], others: Others) -> Vec<u128> {
    let rules = rules(&policy(held), file(wanted), others, || Uuid::from_u128(99));
    rules.iter().map(|(id, _)| id.uuid().as_u128()).collect()
}

#[test]
fn an_entry_is_known_by_what_it_says() {
    let held = [rule("/a", ""), rule("/b", "old"), rule("/a", "other")];
    assert_eq!(ids(&held, &held, Others::Go), [1, 2, 3]);
    let wanted = [rule("/c", ""), rule("/b", "new"), rule("/a", "other")];
    assert_eq!(ids(&held, &wanted, Others::Go), [99, 2, 3]);
    // The same one twice is two.
    assert_eq!(ids(&held, &[rule("/b", "old"), rule("/b", "old")], Others::Go), [2, 99]);
}

#[test]
fn what_is_added_to_a_policy_changes_nothing_that_is_there() {
    let held = [rule("/a", ""), rule("/b", "old")];
    assert_eq!(ids(&held, &[rule("/b", "new"), rule("/a", "")], Others::Stay), [99, 1, 2]);
}
