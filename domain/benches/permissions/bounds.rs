//! What the biggest policies take: their memory, and the time in which a change of one is decided.

use crate::chance::Chance;
use crate::world::rule_of;
use cqrs_es::Aggregate as _;
use domain::policy::{
    Asking, Caller, CompiledPolicy, Effect, Lifeline, MAX_RULES, Policy, PolicyChange,
    PolicyCommand, PolicyEvent, WayBack, canonical_path,
};
use domain::{Facts, RoleName, Timestamp};
use regex::bytes::RegexSetBuilder;
use std::collections::BTreeSet;
use std::time::Instant;
use uuid::Uuid;

/// The pattern of a number, in a style that has a name.
type Style = (&'static str, fn(usize) -> String);

/// Patterns that are nearly as big as one may be, in three styles.
const BIG: [Style; 3] = [
    ("one stretch after the other", |n| format!("/{n}([a-z]{{40}}[0-9]{{40}}){{10}}")),
    ("one end, many beginnings", |n| format!("/x{n}/([a-z]{{40}}[0-9]{{40}}){{10}}")),
    ("anywhere", |n| format!(".*{n}([a-z]{{40}}[0-9]{{40}}){{10}}.*")),
];

const fn lifeline(method: &'static str, path: &'static str) -> Lifeline {
    Lifeline { asking: Asking::Administrator, method, path }
}

/// As a shop has them.
const LIFELINES: [Lifeline; 8] = [
    lifeline("GET", "/api/v1/admin/permission-rules"),
    lifeline("POST", "/api/v1/admin/permission-rules"),
    lifeline("GET", "/api/v1/admin/permission-rules/{id}"),
    lifeline("PUT", "/api/v1/admin/permission-rules/{id}"),
    lifeline("DELETE", "/api/v1/admin/permission-rules/{id}"),
    lifeline("DELETE", "/api/v1/admin/public-paths/{id}"),
    lifeline("GET", "/api/v1/admin/bans"),
    lifeline("DELETE", "/api/v1/admin/bans/{id}"),
];

/// Paths that come far into the patterns.
fn paths() -> impl Iterator<Item = String> {
    let mut chance = Chance(1);
    let mut letters = move || char::from(b'a' + chance.below(26) as u8);
    let text = move |_| (0..40).map(|_| letters()).collect::<String>();
    (0..2_000_usize).map(text).enumerate().map(|(n, text)| format!("/{}{text}{n:040}", n % 400))
}

fn policy(rules: usize, pattern: fn(usize) -> String) -> Policy {
    let mut policy = Policy::default();
    for number in 0..rules {
        let rule_id = Uuid::from_u128(number as u128).into();
        let rule = rule_of(Effect::Allow, "admin", &pattern(number));
        policy.apply(PolicyEvent::RuleAdded { rule_id, rule });
    }
    policy
}

/// How many of the patterns a policy takes before it is full.
fn accepted(pattern: fn(usize) -> String) -> usize {
    let add = |number: usize| {
        let rule_id = Uuid::from_u128(number as u128).into();
        PolicyChange::AddRule { rule_id, rule: rule_of(Effect::Allow, "admin", &pattern(number)) }
    };
    let fits = |count: usize| {
        let command = PolicyCommand { changes: (0..count).map(add).collect(), way_back: None };
        Policy::default().decide(command, &Facts { now: Timestamp::EPOCH }).is_ok()
    };
    let (mut least, mut most) = (0, MAX_RULES + 1);
    while most - least > 1 {
        let middle = usize::midpoint(least, most);
        if fits(middle) { least = middle } else { most = middle }
    }
    least
}

/// Memory of four hundred, and of as many as a policy takes.
pub(crate) fn memory() {
    println!(
        "| patterns near the limit | in one RegexSet | compiled | accepted | these compiled |"
    );
    println!("|---|---|---|---|---|");
    for (what, pattern) in BIG {
        let set = allocation_counter::measure(|| {
            let patterns = (0..400).map(|number| format!("^(?:{})$", pattern(number)));
            let mut builder = RegexSetBuilder::new(patterns);
            let set = builder.unicode(false).size_limit(1 << 30).dfa_size_limit(16 << 20);
            let set = set.build().expect("it compiles");
            for path in paths() {
                std::hint::black_box(set.matches(path.as_bytes()));
            }
            std::mem::forget(set);
        });
        let accepted = accepted(pattern);
        println!(
            "| 400, {what} | {} MiB | {} MiB | {accepted} | {} MiB |",
            set.bytes_current >> 20,
            compiled(&policy(400, pattern)) >> 20,
            compiled(&policy(accepted, pattern)) >> 20,
        );
    }
}

/// What it takes after one thread has asked it about some paths.
fn compiled(policy: &Policy) -> i64 {
    let counted = allocation_counter::measure(|| {
        let compiled = CompiledPolicy::compile(policy, 1).expect("it compiles");
        for path in paths() {
            let path = canonical_path(&path).expect("a canonical path");
            std::hint::black_box(compiled.decide(Caller::Anonymous, "GET", path));
        }
        std::mem::forget(compiled);
    });
    counted.bytes_current
}

/// A change about which every rule must be looked at, of policies that are full.
pub(crate) fn changes() {
    let patterns: [Style; 3] = [
        ("ordinary patterns", |n| format!("/api/v1/(admin|area{n})/[^/]+(/.*)?")),
        ("involved patterns", |n| format!("/api/v1/(admin|area{n})/([a-z]+-)+[^/]+/.*")),
        ("patterns that take long to compare", |n| format!("/{n}|/.*a.{{9}}")),
    ];
    println!("| a change of {MAX_RULES} rules | decided in |");
    println!("|---|---|");
    let roles = BTreeSet::from([RoleName::parse("admin").expect("a role")]);
    for (what, pattern) in patterns {
        let policy = policy(MAX_RULES, pattern);
        let way_back = Some(WayBack {
            lifelines: LIFELINES.to_vec(),
            administrators: BTreeSet::from([roles.clone()]),
        });
        let changes = vec![PolicyChange::ChangeRule {
            rule_id: Uuid::nil().into(),
            rule: rule_of(Effect::Allow, "admin", "/api/v1/admin/(.*-)+.*"),
        }];
        let command = PolicyCommand { changes, way_back };
        let begun = Instant::now();
        let decided = policy.decide(command, &Facts { now: Timestamp::EPOCH });
        let outcome = decided.map_or_else(|refused| refused.to_string(), |_| "accepted".to_owned());
        println!("| {what} | {:?} ({outcome}) |", begun.elapsed());
    }
}
