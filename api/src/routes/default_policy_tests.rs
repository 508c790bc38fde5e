use super::*;
use domain::policy::{
    Caller, CompiledPolicy, PolicyCommand, PolicyRejection, RoleSelector, canonical_path,
};
use domain::{Facts, RoleName, Timestamp};
use std::collections::BTreeSet;

const FACTS: Facts = Facts { now: Timestamp::EPOCH };

/// A new shop's policy, decided command by command.
fn seeded() -> Policy {
    let mut policy = Policy::default();
    let rules =
        super::rules().into_iter().map(|(rule_id, rule)| PolicyCommand::AddRule { rule_id, rule });
    let public_paths = super::public_paths().into_iter().map(|(public_path_id, entry)| {
        let PublicPath { methods, path } = entry;
        PolicyCommand::AddPublicPath { public_path_id, methods, path }
    });
    for command in rules.chain(public_paths) {
        let events = policy.decide(command, &FACTS).expect("the defaults are accepted");
        events.into_iter().for_each(|event| policy.apply(event));
    }
    policy
}

const CALLERS: [&str; 6] = ["anonymous", "customer", "staff", "analyst", "service", "admin"];

/// Who may send each request, in the order of `CALLERS`. Whether the thing is theirs is not the
/// policy's question.
const MATRIX: &[(&str, &str, &str)] = &[
    ("GET", "/", "anonymous customer staff analyst service admin"),
    ("GET", "/healthz", "anonymous customer staff analyst service admin"),
    ("GET", "/readyz", "anonymous customer staff analyst service admin"),
    ("GET", "/metrics", "anonymous customer staff analyst service admin"),
    ("GET", "/openapi.json", "anonymous customer staff analyst service admin"),
    ("GET", "/asyncapi.json", "anonymous customer staff analyst service admin"),
    ("GET", "/docs", "anonymous customer staff analyst service admin"),
    ("GET", "/docs/index.html", "anonymous customer staff analyst service admin"),
    ("GET", "/static/image/mug.jpeg", "anonymous customer staff analyst service admin"),
    ("GET", "/.well-known/jwks.json", "anonymous customer staff analyst service admin"),
    ("GET", "/.well-knownXjwks.json", "admin"),
    ("GET", "/sandbox/payments/1", "anonymous customer staff analyst service admin"),
    ("POST", "/sandbox/payments/1", "anonymous customer staff analyst service admin"),
    ("GET", "/console", "admin"),
    ("POST", "/api/v1/auth/register", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/login", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/refresh", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/logout", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/verify-email", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/auth/password-reset", "anonymous customer staff analyst service admin"),
    (
        "POST",
        "/api/v1/auth/password-reset/confirm",
        "anonymous customer staff analyst service admin",
    ),
    ("GET", "/api/v1/products", "anonymous customer staff analyst service admin"),
    ("HEAD", "/api/v1/products", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/products/1", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/products", "admin"),
    ("GET", "/api/v1/categories", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/search/suggest", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/flash-sales", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/flash-sales/1", "anonymous customer staff analyst service admin"),
    ("POST", "/api/v1/flash-sales/1/claims", "customer admin"),
    ("POST", "/api/v1/webhooks/payments/sandbox", "anonymous customer staff analyst service admin"),
    ("GET", "/api/v1/me", "customer staff analyst service admin"),
    ("DELETE", "/api/v1/me", "customer staff analyst service admin"),
    ("POST", "/api/v1/me/cart/lines", "customer staff analyst service admin"),
    ("GET", "/api/v1/menu", "admin"),
    ("POST", "/api/v1/checkouts", "customer staff analyst service admin"),
    ("POST", "/api/v1/checkouts/quote", "customer staff analyst service admin"),
    ("GET", "/api/v1/orders", "customer staff analyst service admin"),
    ("POST", "/api/v1/orders/1/payments", "customer staff analyst service admin"),
    ("PATCH", "/api/v1/orders/1", "customer staff analyst service admin"),
    ("GET", "/api/v1/admin/products", "staff admin"),
    ("POST", "/api/v1/admin/products/1/publish", "staff admin"),
    ("POST", "/api/v1/admin/stock/MUG/receive", "staff admin"),
    ("GET", "/api/v1/admin/orders", "staff admin"),
    ("GET", "/api/v1/admin/payments", "staff admin"),
    ("POST", "/api/v1/admin/orders/1/ship", "staff admin"),
    ("POST", "/api/v1/admin/orders/1/refunds", "staff admin"),
    ("POST", "/api/v1/admin/returns/1/accept", "staff admin"),
    ("GET", "/api/v1/admin/coupons", "staff admin"),
    ("GET", "/api/v1/admin/flash-sales", "staff admin"),
    ("GET", "/api/v1/admin/categories", "staff admin"),
    ("GET", "/api/v1/admin/orders/1/contact", "service admin"),
    ("GET", "/api/v1/admin/users/1/contact", "service admin"),
    ("GET", "/api/v1/admin/users", "admin"),
    ("POST", "/api/v1/admin/users/1/roles", "admin"),
    ("POST", "/api/v1/admin/users/1/ban", "admin"),
    ("GET", "/api/v1/admin/audit", "admin"),
    ("GET", "/api/v1/admin/permission-rules", "admin"),
    ("PUT", "/api/v1/admin/permission-rules/1", "admin"),
    ("POST", "/api/v1/admin/permission-rules/explain", "admin"),
    ("GET", "/api/v1/admin/projections", "admin"),
    ("GET", "/api/v1/events", "analyst admin"),
    ("POST", "/api/v1/events", "admin"),
    ("GET", "/api/v1/events/stream", "analyst admin"),
    ("GET", "/api/v1/event-types", "analyst admin"),
    ("GET", "/api/v1/aggregates/order/1/events", "analyst admin"),
    ("GET", "/api/v1/unknown", "admin"),
];

#[test]
fn a_new_shop_lets_exactly_these_roles_through() {
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
        let again = PolicyCommand::AddRule { rule_id, rule };
        assert_eq!(policy.decide(again, &FACTS), Ok(vec![]));
    }
    for (public_path_id, PublicPath { methods, path }) in public_paths() {
        let again = PolicyCommand::AddPublicPath { public_path_id, methods, path };
        assert_eq!(policy.decide(again, &FACTS), Ok(vec![]));
    }
}

#[test]
fn every_default_has_an_id_of_its_own_and_every_rule_says_what_it_is_for() {
    let rules = super::rules();
    let public_paths = super::public_paths();
    let ids: BTreeSet<_> =
        rules.iter().map(|(id, _)| *id).chain(public_paths.iter().map(|(id, _)| *id)).collect();
    assert_eq!(ids.len(), rules.len() + public_paths.len());
    assert!(ids.iter().all(|id| id.get_version_num() == 7));
    assert!(rules.iter().all(|(_, rule)| !rule.note.is_empty()));
}

#[test]
fn in_a_new_shop_the_last_administrator_cannot_be_locked_out() {
    let policy = seeded();
    let (rule_id, _) = rules().remove(0);
    assert_eq!(
        policy.decide(PolicyCommand::RemoveRule { rule_id }, &FACTS),
        Err(PolicyRejection::LastAdministrator)
    );
    assert!(
        policy.rules[&rule_id].rule.roles.contains(&RoleSelector::Role(RoleName::known("admin")))
    );
}
