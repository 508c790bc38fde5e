use crate::support::{given, record_foreign};
use domain::policy::{Effect, MethodSelector, PolicyEvent, RoleSelector, Rule};
use domain::{Position, Timestamp};
use projections::Limit;
use projections::permissions::{self, PolicyView};
use testkit::{Journal, id, reason, recorded_at};

fn rule(path: &str) -> Rule {
    Rule {
        effect: Effect::Allow,
        roles: vec![RoleSelector::Any],
        methods: vec![MethodSelector::Any],
        path: path.to_owned(),
        note: format!("about {path}"),
    }
}

#[tokio::test]
async fn the_policy_is_what_was_added_changed_and_not_removed() {
    let until = Timestamp::from(recorded_at(Position::new(1_000)));
    let history = Journal::default();
    record_foreign(&history);
    let policy = |event| history.record("policy", "shop", &event);
    policy(PolicyEvent::RuleAdded { rule_id: id(3), rule: rule("/a") });
    policy(PolicyEvent::RuleAdded { rule_id: id(2), rule: rule("/b") });
    policy(PolicyEvent::RuleAdded { rule_id: id(1), rule: rule("/c") });
    let denied = Rule { effect: Effect::Deny, ..rule("/a/.*") };
    policy(PolicyEvent::RuleChanged { rule_id: id(3), rule: denied.clone() });
    policy(PolicyEvent::RuleRemoved { rule_id: id(2) });
    for public_path_id in [id(4), id(5)] {
        policy(PolicyEvent::PublicPathAdded {
            public_path_id,
            methods: vec![MethodSelector::Method("GET".to_owned())],
            path: "/healthz".to_owned(),
        });
    }
    policy(PolicyEvent::PublicPathRemoved { public_path_id: id(4) });
    for (ban_id, cidr) in [(id(6), "10.0.0.0/8"), (id(7), "2001:db8::1/128")] {
        let cidr = cidr.parse().expect("a network");
        policy(PolicyEvent::AddressBanned {
            ban_id,
            cidr,
            reason: reason("scraping"),
            until: Some(until),
        });
    }
    let last = policy(PolicyEvent::AddressUnbanned { ban_id: id(6) });
    let pool = given(&history).await;

    let policy = permissions::load(&pool).await.expect("a query");
    assert_eq!((policy.version, policy.position), (11, last));
    let rules: Vec<_> = policy.rules.iter().map(|rule| (rule.rule_id, rule.version)).collect();
    // In the order of adding; a change keeps the place and has a version of its own.
    assert_eq!(rules, [(id(3), 4), (id(1), 3)]);
    assert_eq!(policy.rules[0].rule, denied);
    assert_eq!(policy.public_paths.len(), 1);
    assert_eq!(policy.public_paths[0].public_path_id, id(5));
    assert_eq!(policy.address_bans.len(), 1);
    assert_eq!(policy.address_bans[0].cidr.to_string(), "2001:db8::1/128");
    assert_eq!(policy.address_bans[0].until, Some(until));

    let first = Limit::new(1).expect("1 is a limit");
    let page = permissions::rules(&pool, None, first).await.expect("a query");
    assert_eq!(page.items, policy.rules[..1]);
    let cursor = page.next_cursor.expect("a second page");
    let page = permissions::rules(&pool, Some(&cursor), first).await.expect("a query");
    assert_eq!((page.items.as_slice(), page.next_cursor), (&policy.rules[1..], None));

    let found = permissions::rule_by_id(&pool, id(3)).await.expect("a query");
    assert_eq!(found.as_ref(), policy.rules.first());
    assert_eq!(permissions::rule_by_id(&pool, id(2)).await.expect("a query"), None);
    let found = permissions::public_path_by_id(&pool, id(5)).await.expect("a query");
    assert_eq!(found.as_ref(), policy.public_paths.first());
    let found = permissions::address_ban_by_id(&pool, id(7)).await.expect("a query");
    assert_eq!(found.as_ref(), policy.address_bans.first());
    let page = permissions::public_paths(&pool, None, Limit::MAX).await.expect("a query");
    assert_eq!(page.items, policy.public_paths);
    let page = permissions::address_bans(&pool, None, Limit::MAX).await.expect("a query");
    assert_eq!(page.items, policy.address_bans);
}

#[tokio::test]
async fn before_the_first_rule_the_policy_is_empty_at_version_zero() {
    let pool = given(&Journal::default()).await;
    assert_eq!(permissions::load(&pool).await.expect("a query"), PolicyView::default());
}
