use super::*;
use domain::policy::{
    Caller, CompiledPolicy, PolicyChange, PolicyCommand, PolicyRejection, RoleSelector, WayBack,
    canonical_path, lets_repair,
};
use domain::{Facts, RoleName, Timestamp};
use std::collections::BTreeSet;

const FACTS: Facts = Facts { now: Timestamp::EPOCH };

/// A change that must leave every administrator a way back.
fn asked(change: PolicyChange) -> PolicyCommand {
    let roles = ["admin", "customer"].map(RoleName::known);
    let way_back =
        WayBack { lifelines: lifelines(), administrators: BTreeSet::from([roles.into()]) };
    PolicyCommand { changes: vec![change], way_back: Some(way_back) }
}

/// A new shop's policy, decided command by command.
fn seeded() -> Policy {
    let mut policy = Policy::default();
    let rules =
        super::rules().into_iter().map(|(rule_id, rule)| PolicyChange::AddRule { rule_id, rule });
    let public_paths = super::public_paths().into_iter().map(|(public_path_id, entry)| {
        let PublicPath { methods, path } = entry;
        PolicyChange::AddPublicPath { public_path_id, methods, path }
    });
    for command in rules.chain(public_paths) {
        let events = policy.decide(asked(command), &FACTS).expect("the defaults are accepted");
        events.into_iter().for_each(|event| policy.apply(event));
    }
    policy
}

const CALLERS: [&str; 6] = ["anonymous", "customer", "staff", "analyst", "service", "admin"];

/// Who may send each request that no route answers, in the order of `CALLERS`: a rule reaches further
/// than the routes that there are. Those of the routes are in `docs/permissions.md`.
const MATRIX: &[(&str, &str, &str)] = &[
    ("GET", "/", "anonymous customer staff analyst service admin"),
    ("GET", "/asyncapi.json", "anonymous customer staff analyst service admin"),
    ("GET", "/.well-knownXjwks.json", "admin"),
    ("GET", "/console", "admin"),
    ("POST", "/api/v1/auth/verify-email", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/password-reset", "anonymous customer staff analyst service admin"),
    (
        "POST",
        "/api/v1/auth/password-reset/confirm",
        "anonymous customer staff analyst service admin",
    ),
    ("HEAD", "/api/v1/products", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/products", "admin"),
    ("GET", "/api/v1/flash-sales", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/flash-sales/1", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/flash-sales/1/claims", "customer admin"),
    ("DELETE", "/api/v1/me", "customer staff analyst service admin"),
    ("GET", "/api/v1/menu", "admin"),
    ("PATCH", "/api/v1/orders/1", "customer staff analyst service admin"),
    ("GET", "/api/v1/admin/orders", "staff admin"),
    ("POST", "/api/v1/admin/orders/1/ship", "staff admin"),
    ("POST", "/api/v1/admin/orders/1/refunds", "staff admin"),
    ("POST", "/api/v1/admin/returns/1/accept", "staff admin"),
    ("GET", "/api/v1/admin/coupons", "staff admin"),
    ("GET", "/api/v1/admin/flash-sales", "staff admin"),
    ("GET", "/api/v1/admin/categories", "staff admin"),
    ("GET", "/api/v1/admin/orders/1/contact", "service admin"),
    ("GET", "/api/v1/admin/users/1/contact", "service admin"),
    ("GET", "/api/v1/admin/audit", "admin"),
    ("POST", "/api/v1/events", "admin"),
    ("GET", "/api/v1/events/stream", "analyst admin"),
    ("GET", "/api/v1/aggregates/order/1/events", "analyst admin"),
    ("GET", "/api/v1/unknown", "admin"),
];

#[test]
fn beside_the_routes_a_new_shop_lets_exactly_these_roles_through() {
    let policy = CompiledPolicy::compile(&seeded(), 1).expect("the defaults compile");
    for (method, raw, expected) in MATRIX {
        let path = canonical_path(raw).expect("a canonical path");
        let passing = CALLERS.iter().filter(|name| {
            let roles = BTreeSet::from([RoleName::known(name)]);
            policy.decide(Caller::with_roles(&roles), method, path).is_allowed()
        });
        let passing: Vec<_> = passing.copied().collect();
        assert_eq!(passing.join(" "), *expected, "{method} {raw}");
    }
}

#[test]
fn seeding_twice_changes_nothing() {
    let policy = seeded();
    for (rule_id, rule) in rules() {
        let again = PolicyChange::AddRule { rule_id, rule };
        assert_eq!(policy.decide(asked(again), &FACTS), Ok(vec![]));
    }
    for (public_path_id, PublicPath { methods, path }) in public_paths() {
        let again = PolicyChange::AddPublicPath { public_path_id, methods, path };
        assert_eq!(policy.decide(asked(again), &FACTS), Ok(vec![]));
    }
}

#[test]
fn every_default_has_an_id_of_its_own_and_every_rule_says_what_it_is_for() {
    let rules = super::rules();
    let public_paths = super::public_paths();
    let ids: BTreeSet<_> = rules
        .iter()
        .map(|(id, _)| id.uuid())
        .chain(public_paths.iter().map(|(id, _)| id.uuid()))
        .collect();
    assert_eq!(ids.len(), rules.len() + public_paths.len());
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
    assert!(rules.iter().all(|(_, rule)| !rule.note.is_empty()));
}

#[test]
fn in_a_new_shop_the_last_administrator_cannot_be_locked_out() {
    let policy = seeded();
    let (rule_id, _) = rules().remove(0);
    assert_eq!(
        policy.decide(asked(PolicyChange::RemoveRule { rule_id }), &FACTS),
        Err(PolicyRejection::LastAdministrator)
    );
    assert!(
        policy.rules[&rule_id].rule.roles.contains(&RoleSelector::Role(RoleName::known("admin")))
    );
}

#[test]
fn a_new_shop_lets_an_administrator_repair_it_and_every_lifeline_is_a_route() {
    let roles = BTreeSet::from(["admin", "customer"].map(RoleName::known));
    assert_eq!(lets_repair(&seeded(), &lifelines(), &roles), Ok(true));
    let document = crate::openapi::document().to_pretty_json().expect("it is JSON");
    let document: serde_json::Value = serde_json::from_str(&document).expect("it is JSON");
    for Lifeline { method, path, .. } in lifelines() {
        let route = &document["paths"][path][method.to_lowercase()];
        assert!(route.is_object(), "{method} {path}");
    }
}
