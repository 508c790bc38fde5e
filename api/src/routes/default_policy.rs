//! The policy that a new shop starts with: what all resources say about themselves, and what no
//! single one of them says.
//!
//! The domain is handed these rules when the policy is made, at the first start, and with every change
//! what nobody could repair a policy without; it knows none of our paths by itself.

use super::resource::{ANY, DefaultPublicPath, DefaultRule, Defaults, GET, POST, allow, public};
use cqrs_es::Aggregate;
use domain::policy::{Lifeline, Policy, PolicyEvent, PublicPath, Rule};
use domain::{PublicPathId, RuleId};

/// What is about several resources, or about paths that no resource here answers. Shops have had
/// these rules since their first start; a resource that comes to such a path takes its rule along,
/// with its number.
pub(super) const COMMON: Defaults = Defaults {
    rules: &[
        allow(1, "admin", ANY, "/.*", "Administrators may do everything."),
        allow(
            5,
            "customer",
            POST,
            "/api/v1/flash-sales/[^/]+/claims",
            "Taking part in flash sales.",
        ),
        allow(
            7,
            "staff",
            ANY,
            "/api/v1/admin/(coupons|flash-sales)(/.*)?",
            "Coupons and flash sales.",
        ),
        allow(
            8,
            "staff",
            ANY,
            "/api/v1/admin/orders(/[^/]+(/(ship|deliver|refunds))?)?",
            "Sending and refunding orders; not the contact routes, which are for services.",
        ),
        allow(9, "staff", ANY, "/api/v1/admin/returns(/.*)?", "Accepting and rejecting returns."),
        allow(12, "analyst", GET, "/api/v1/aggregates/.*", "The events of one aggregate."),
        allow(
            13,
            "service",
            GET,
            "/api/v1/admin/(users|orders)/[^/]+/contact",
            "Whom to write to, asked at the time of writing.",
        ),
    ],
    public_paths: &[
        public(11, GET, "/api/v1/flash-sales(/[^/]+)?"),
        public(13, ANY, "/sandbox/.*"),
    ],
    ..Defaults::NONE
};

/// The rules, by fixed ids and in the order of their numbers: who adds them again changes nothing.
#[must_use]
pub fn rules() -> Vec<(RuleId, Rule)> {
    let mut rules: Vec<&DefaultRule> =
        super::defaults().flat_map(|defaults| defaults.rules).collect();
    rules.sort_by_key(|rule| rule.number);
    rules.into_iter().map(DefaultRule::rule).collect()
}

/// The paths that need no permission, by fixed ids and in the order of their numbers.
#[must_use]
pub fn public_paths() -> Vec<(PublicPathId, PublicPath)> {
    let entries = super::defaults().flat_map(|defaults| defaults.public_paths);
    let mut entries: Vec<&DefaultPublicPath> = entries.collect();
    entries.sort_by_key(|entry| entry.number);
    entries.into_iter().map(DefaultPublicPath::entry).collect()
}

/// What nobody could repair a policy without.
#[must_use]
pub fn lifelines() -> Vec<Lifeline> {
    super::defaults().flat_map(|defaults| defaults.lifelines).copied().collect()
}

/// The policy of a shop that has just started for the first time.
#[must_use]
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    for (rule_id, rule) in rules() {
        policy.apply(PolicyEvent::RuleAdded { rule_id, rule });
    }
    for (public_path_id, PublicPath { methods, path }) in public_paths() {
        policy.apply(PolicyEvent::PublicPathAdded { public_path_id, methods, path });
    }
    policy
}

#[cfg(test)]
#[path = "default_policy_tests.rs"]
mod tests;
