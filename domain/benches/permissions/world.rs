//! A big shop's rules, and what people ask of it; the same for every engine, whatever the run.

use crate::chance::Chance;
use cqrs_es::Aggregate as _;
use domain::policy::{
    CanonicalPath, Effect, MethodSelector, Policy, PolicyEvent, PublicPath, RoleSelector, Rule,
    canonical_path,
};
use domain::{RoleName, RuleId};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many different requests are asked in turn: enough that nothing is known from the last time.
pub(crate) const REQUESTS: usize = 20_000;

/// The roles of the shop, beside `admin`.
const ROLES: u64 = 20;

/// What somebody asks.
pub(crate) struct Request {
    #[allow(dead_code, reason = "not every program tells them apart")]
    pub(crate) kind: &'static str,
    /// Of somebody who signed in.
    pub(crate) roles: BTreeSet<RoleName>,
    pub(crate) method: &'static str,
    /// As the guard hands it over; it lives as long as the program.
    pub(crate) path: CanonicalPath<'static>,
}

impl Request {
    /// What the guard does before: it looks at every character and knows the caller.
    pub(crate) fn read(&self) {
        std::hint::black_box(canonical_path(self.path.as_str())).expect("a canonical path");
        std::hint::black_box(self.roles.iter().map(|role| role.as_str().len()).sum::<usize>());
    }
}

fn uuid(chance: &mut Chance) -> Uuid {
    let (high, low) = (chance.below(u64::MAX), chance.below(u64::MAX));
    Uuid::from_u128((u128::from(high) << 64) | u128::from(low))
}

fn role(number: u64) -> RoleName {
    RoleName::parse(format!("role-{}", number % ROLES)).expect("a role")
}

fn name(number: u64) -> &'static str {
    ["orders", "stock", "prices", "returns", "labels", "claims"][(number % 6) as usize]
}

/// A rule of one role about all methods.
pub(crate) fn rule_of(effect: Effect, role: &str, path: &str) -> Rule {
    Rule {
        effect,
        roles: vec![RoleSelector::Role(RoleName::parse(role).expect("a role"))],
        methods: vec![MethodSelector::Any],
        path: path.to_owned(),
        note: String::new(),
    }
}

/// The rule of an area: most name a place in one of three ways, some look everywhere, some are involved,
/// some deny.
fn rule(number: u64) -> Rule {
    let area = format!("{}{number}", name(number));
    let path = match (number % 100, number % 3) {
        (99, _) => format!("/.*/{area}"),
        (97 | 98, _) => format!("/api/v1/{area}/([a-z]+-)+[0-9]+"),
        (_, 0) => format!("/api/v1/{area}/[^/]+"),
        (_, 1) => format!("/api/v1/{area}(/.*)?"),
        _ => format!(r"/api/v[0-9]+/{area}/[0-9a-f-]{{36}}/\w+"),
    };
    let (effect, roles, methods) = match number % 10 {
        9 => (Effect::Deny, vec![RoleSelector::Any], vec!["POST", "DELETE"]),
        _ => (Effect::Allow, vec![RoleSelector::Role(role(number))], vec!["GET", "POST"]),
    };
    let method = |name: &str| MethodSelector::try_from(name.to_owned()).expect("a method");
    let methods = methods.into_iter().map(method).collect();
    Rule { effect, roles, methods, path, note: String::new() }
}

/// A policy of so many rules, each with a pattern of its own, and of three public paths.
pub(crate) fn policy(rules: u64) -> Policy {
    let mut policy = Policy::default();
    let administrators = rule_of(Effect::Allow, "admin", "/.*");
    let rules = std::iter::once(administrators).chain((1..rules).map(rule));
    for (number, rule) in (0_u128..).zip(rules) {
        let rule_id = RuleId::from(Uuid::from_u128(number));
        policy.apply(PolicyEvent::RuleAdded { rule_id, rule });
    }
    for (number, path) in (0_u128..).zip(["/", "/docs(/[^/]+)?", "/api/v1/products(/[^/]+)?"]) {
        let methods = vec![MethodSelector::Any];
        let PublicPath { methods, path } = PublicPath { methods, path: path.to_owned() };
        let public_path_id = Uuid::from_u128(number).into();
        policy.apply(PolicyEvent::PublicPathAdded { public_path_id, methods, path });
    }
    policy
}

/// What is asked of a policy of so many rules: of twenty requests ten that an allow rule from anywhere in the
/// list lets through, two that one of the first does, two that are denied, two that nothing allows, two on
/// paths that no rule knows, one on a public path, one on a path of the greatest length.
pub(crate) fn requests(rules: u64) -> Vec<Request> {
    let mut chance = Chance(42);
    (0..REQUESTS).map(|turn| request(turn, rules, &mut chance)).collect()
}

fn request(turn: usize, rules: u64, chance: &mut Chance) -> Request {
    let mut number = 1 + chance.below(rules - 1);
    let kind = match turn % 20 {
        0..=9 => "allowed by any",
        10 | 11 => {
            number = 1 + chance.below(rules.min(10) - 1);
            "allowed by an early one"
        }
        12 | 13 => "denied by a rule",
        14 | 15 => "allowed by none",
        16 | 17 => "unknown path",
        18 => "public path",
        _ => "longest path",
    };
    if kind == "denied by a rule" {
        number = number / 10 * 10 + 9;
    } else if number % 10 == 9 {
        number -= 1;
    }
    let area = format!("{}{number}", name(number));
    let path = match kind {
        "unknown path" => format!("/api/v2/{}/{}/items", name(number), uuid(chance)),
        "public path" => format!("/api/v1/products/{}", uuid(chance)),
        "longest path" => {
            let segment = "/a-long-segment".repeat(140);
            format!("/api/v1/{area}{segment}")[..2_040].trim_end_matches('/').to_owned()
        }
        _ => match (number % 100, number % 3) {
            (99, _) => format!("/api/v1/x/{}/{area}", uuid(chance)),
            (97 | 98, _) => format!("/api/v1/{area}/red-and-blue-{}", chance.below(1_000)),
            (_, 0 | 1) => format!("/api/v1/{area}/{}", uuid(chance)),
            _ => format!("/api/v1/{area}/{}/items", uuid(chance)),
        },
    };
    let path = canonical_path(path.leak()).expect("a canonical path");
    let mut roles = BTreeSet::from([RoleName::parse("customer").expect("a role")]);
    if kind != "allowed by none" {
        roles.insert(role(number));
    }
    let method = if kind == "denied by a rule" { "POST" } else { "GET" };
    Request { kind, roles, method, path }
}
