//! Decisions of a compiled policy beside those of an oracle that does nothing cleverly, and what they
//! allocate.
//!
//! `GOMALL_ORACLE_CASES=10000000 cargo test --release -p domain --test decisions` asks for ten million.

#[path = "../benches/permissions/chance.rs"]
mod chance;
#[path = "decisions/nasty.rs"]
mod nasty;
#[path = "decisions/oracle.rs"]
mod oracle;

use chance::Chance;
use cqrs_es::Aggregate as _;
use domain::policy::{
    Caller, CompiledPolicy, Effect, MethodSelector, Policy, PolicyChange, PolicyCommand,
    PolicyEvent, RoleSelector, Rule, canonical_path,
};
use domain::{Facts, RoleName, RuleId, Timestamp};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Cases of a usual run: some seconds without optimisation.
const CASES: usize = 100_000;

/// How many requests each policy is asked.
const REQUESTS: usize = 200;

fn any<'a>(chance: &mut Chance, choices: &[&'a str]) -> &'a str {
    choices[chance.below(choices.len() as u64) as usize]
}

/// A piece of a pattern that begins with a slash: fixed, with one stretch that varies, or none of these.
fn piece(chance: &mut Chance) -> String {
    let pieces = [
        "/a",
        "/b",
        "/ab",
        "/v1",
        "/.",
        "/[^/]+",
        "/[ab]+",
        "/[ab]{2}",
        r"/\w*",
        "/v[0-9]+",
        "/a[^/]*b",
        "/(a|b)",
        "/(a|ab)(/b)?",
        "(/a)?",
        "(/a)+",
        "/([ab]+-)+[0-9]",
        r"/\ba",
        "(?:/[^/]+){2}",
        "/A",
        "/(?i:a)",
        "/[ab][^/]",
        "/[^a]",
        "/a.b",
        "/.{3}",
        r"/a\.b",
        "/[/a]+b",
        "/a|/b",
    ];
    any(chance, &pieces).to_owned()
}

fn pattern(chance: &mut Chance) -> String {
    let mut pattern = any(chance, &["", "", "", "", "", "^", "(?i)", ".*", "/.*"]).to_owned();
    for _ in 0..1 + chance.below(3) {
        pattern += &piece(chance);
    }
    pattern += any(chance, &["", "", "", "", "(/.*)?", "/.*", ".*", "$", "/?", "(/[^/]+)*"]);
    pattern
}

fn path(chance: &mut Chance) -> String {
    let segments = ["a", "b", "ab", "aa", "v1", "v12", "a-1", "A", "a.b", "ba", "x-y", "aab"];
    let count = if chance.below(20) == 0 { 7 + chance.below(6) } else { chance.below(5) };
    let path: String = (0..count).map(|_| format!("/{}", any(chance, &segments))).collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

fn policy(chance: &mut Chance) -> Policy {
    let mut policy = Policy::default();
    for _ in 0..1 + chance.below(24) {
        let id = Uuid::from_u128(u128::from(chance.below(1_000_000)));
        let methods: Vec<_> = (0..1 + chance.below(2))
            .map(|_| any(chance, &["*", "GET", "POST", "DELETE"]).to_owned())
            .map(|name| MethodSelector::try_from(name).expect("a method"))
            .collect();
        let path = pattern(chance);
        if chance.below(6) == 0 {
            let public_path_id = id.into();
            policy.apply(PolicyEvent::PublicPathAdded { public_path_id, methods, path });
            continue;
        }
        let roles: Vec<_> = (0..1 + chance.below(2))
            .map(|_| match chance.below(2) {
                0 => format!("r{}", chance.below(20)),
                _ => any(chance, &["*", "anonymous", "authenticated", "staff", "admin"]).to_owned(),
            })
            .map(|name| RoleSelector::try_from(name).expect("a role"))
            .collect();
        let effect = if chance.below(6) == 0 { Effect::Deny } else { Effect::Allow };
        let rule = Rule { effect, roles, methods, path, note: String::new() };
        policy.apply(PolicyEvent::RuleAdded { rule_id: RuleId::from(id), rule });
    }
    policy
}

/// Nobody, or somebody with none, some or more roles than are looked at together.
fn roles(chance: &mut Chance) -> Option<BTreeSet<RoleName>> {
    let named = |name: &str| RoleName::parse(name).expect("a role");
    match chance.below(5) {
        0 => None,
        1 => Some((0..20).map(|number| named(&format!("r{number}"))).collect()),
        _ => Some(
            (0..chance.below(3)).map(|_| named(any(chance, &["staff", "admin", "x"]))).collect(),
        ),
    }
}

fn cases() -> usize {
    let asked_for = std::env::var("GOMALL_ORACLE_CASES").ok();
    asked_for.map_or(CASES, |cases| cases.parse().expect("a number of cases"))
}

#[test]
fn every_request_is_judged_as_by_the_oracle() {
    let (mut chance, mut judged) = (Chance(cases() as u64), 0);
    let mut allowed = 0;
    while judged < cases() {
        let policy = policy(&mut chance);
        let compiled = CompiledPolicy::compile(&policy, 1).expect("it is small");
        let oracle = oracle::Oracle::new(&policy);
        for _ in 0..REQUESTS {
            let (raw, roles) = (path(&mut chance), roles(&mut chance));
            let method = any(&mut chance, &["GET", "HEAD", "POST", "DELETE", "PATCH", "get"]);
            let caller = roles.as_ref().map_or(Caller::Anonymous, Caller::SignedIn);
            let canonical = canonical_path(&raw).expect("a canonical path");
            let verdict = compiled.decide(caller, method, canonical);
            assert_eq!(
                verdict,
                oracle.decide(roles.as_ref(), method, &raw),
                "{method} {raw} of {roles:?} under {policy:#?}"
            );
            allowed += usize::from(verdict.is_allowed());
            judged += 1;
        }
    }
    // Neither of the two answers is the rule.
    assert!((judged / 10..judged * 9 / 10).contains(&allowed), "{allowed} of {judged} are allowed");
}

#[test]
fn a_nasty_pattern_is_refused_or_means_what_it_says() {
    let (facts, rule_id) = (Facts { now: Timestamp::EPOCH }, RuleId::from(Uuid::nil()));
    let texts = nasty::NASTY
        .iter()
        .flat_map(|nasty| ["", "/", "/a/"].map(|before| format!("{before}{nasty}")));
    let mut accepted = 0;
    for text in texts {
        let rule = Rule {
            effect: Effect::Allow,
            roles: vec![RoleSelector::Any],
            methods: vec![MethodSelector::Any],
            path: text.clone(),
            note: String::new(),
        };
        let changes = vec![PolicyChange::AddRule { rule_id, rule }];
        let mut policy = Policy::default();
        let Ok(events) = policy.decide(PolicyCommand { changes, way_back: None }, &facts) else {
            continue;
        };
        events.into_iter().for_each(|event| policy.apply(event));
        let compiled = CompiledPolicy::compile(&policy, 1).expect("what is accepted compiles");
        let oracle = oracle::Oracle::new(&policy);
        let mut chance = Chance(accepted);
        for raw in (0..300).map(|_| path(&mut chance)) {
            let canonical = canonical_path(&raw).expect("a canonical path");
            let verdict = compiled.decide(Caller::Anonymous, "GET", canonical);
            assert_eq!(verdict, oracle.decide(None, "GET", &raw), "{text} {raw}");
        }
        accepted += 1;
    }
    assert!((80..180).contains(&accepted), "{accepted} are accepted");
}

#[test]
fn a_decision_allocates_nothing() {
    let mut chance = Chance(7);
    let policies: Vec<_> = (0..50).map(|_| policy(&mut chance)).collect();
    for policy in policies {
        let compiled = CompiledPolicy::compile(&policy, 1).expect("it is small");
        let requests: Vec<_> = (0..50).map(|_| (path(&mut chance), roles(&mut chance))).collect();
        let ask_all = || {
            for (raw, roles) in &requests {
                let caller = roles.as_ref().map_or(Caller::Anonymous, Caller::SignedIn);
                let canonical = canonical_path(raw).expect("a canonical path");
                std::hint::black_box(compiled.decide(caller, "GET", canonical));
            }
        };
        // The states of the automata are made when a path first comes to them.
        ask_all();
        let counted = allocation_counter::measure(ask_all);
        assert_eq!(counted.count_total, 0, "{policy:#?}");
    }
}
