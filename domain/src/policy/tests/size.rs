//! Policies that are too big to hold or to judge.

use super::super::shape::Steps;
use super::super::way_back::repairs_within;
use super::*;
use std::collections::BTreeSet;

/// Takes some twenty kilobytes in an automaton.
fn involved(number: u128) -> Rule {
    allow("staff", "GET", &format!("/{number}([a-z]{{40}}[0-9]{{40}}){{10}}"))
}

#[test]
fn what_involved_patterns_take_together_is_bounded() {
    let rules = (0..200)
        .map(|number| PolicyChange::AddRule { rule_id: id(number), rule: involved(number) });
    let command = |changes| PolicyCommand { changes, way_back: None };
    let refused = given::<Policy>(vec![]).when(command(rules.clone().collect())).inspect_result();
    assert_eq!(refused.map_err(|refused| refused.code()), Err("patterns_too_big"));
    given::<Policy>(vec![])
        .when(command(rules.take(50).collect()))
        .then_expect_events((0..50).map(|number| added(number, involved(number))).collect());

    // What is there from before there was a bound is compiled, and may be made smaller but not bigger.
    let before: Vec<_> = (0..200).map(|number| added(number, involved(number))).collect();
    assert!(CompiledPolicy::compile(&state(before.clone()), 1).is_ok());
    let given_all = || given::<Policy>(before.clone());
    given_all().when(remove(7)).then_expect_events(vec![removed(7)]);
    let noted = Rule { note: "x".to_owned(), ..involved(7) };
    given_all().when(change(7, noted.clone())).then_expect_events(vec![changed(7, noted)]);
    given_all()
        .when(add(900, allow("staff", "GET", "/tea(/.*)?")))
        .then_expect_events(vec![added(900, allow("staff", "GET", "/tea(/.*)?"))]);
    for bigger in [add(900, involved(900)), change(7, involved(900))] {
        given_all().when(bigger).then_expect_error(PolicyRejection::PatternsTooBig);
    }
    let public = add_public(900, "GET", &involved(900).path);
    given_all().when(public).then_expect_error(PolicyRejection::PatternsTooBig);
}

#[test]
fn a_change_that_takes_too_long_to_judge_is_refused() {
    let slow = |number: u128| added(number, allow("admin", "*", &format!("/{number}|/.*a.{{9}}")));
    let before: Policy = state((3..9).map(slow));
    let roles: BTreeSet<_> = [role("admin")].into();
    let way_back =
        WayBack { lifelines: LIFELINES.to_vec(), administrators: [roles.clone()].into() };
    let mut after = before.clone();
    after.apply(removed(3));
    // Whatever is not known is no answer.
    for (steps, answer) in [(10_000, Err(TooInvolved)), (1_000_000, Ok(false))] {
        let lost = way_back.is_lost_within(&before, &after, &[removed(3)], Steps(steps));
        assert_eq!(lost, answer);
        assert_eq!(repairs_within(&before, &LIFELINES[1..], &roles, Steps(steps)), answer);
    }
    let refused = PolicyRejection::TooInvolved;
    assert_eq!((refused.code(), refused.kind()), ("policy_too_involved", RejectionKind::Invalid));
}
