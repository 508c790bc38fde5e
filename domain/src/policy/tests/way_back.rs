use super::*;
use crate::RoleName;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::IpAddr;
use uuid::Uuid;

#[test]
fn the_rule_that_makes_administrators_is_not_removed() {
    let rejection = PolicyRejection::LastAdministrator;
    assert_eq!(
        (rejection.code(), rejection.kind()),
        ("last_administrator", RejectionKind::Conflict)
    );
    given::<Policy>(guarded()).when(remove(1)).then_expect_error(rejection);
}

#[test]
fn the_rule_that_makes_administrators_is_not_changed_away() {
    for rule in [
        allow("staff", "*", "/.*"),
        allow("admin", "GET", "/.*"),
        allow("admin", "*", "/rules"),
        deny("admin", "*", "/.*"),
    ] {
        given::<Policy>(guarded())
            .when(change(1, rule))
            .then_expect_error(PolicyRejection::LastAdministrator);
    }
}

#[test]
fn the_rule_that_makes_administrators_may_change_if_they_can_still_repair_the_rules() {
    let narrow = allow("admin", "*", "/(rules|bans)(/.*)?");
    given::<Policy>(guarded())
        .when(change(1, narrow.clone()))
        .then_expect_events(vec![changed(1, narrow)]);
    let second = guarded_and(added(3, allow("authenticated", "*", "/.*")));
    given::<Policy>(second).when(remove(1)).then_expect_events(vec![removed(1)]);
}

#[test]
fn no_deny_rule_locks_administrators_out() {
    for rule in [
        deny("admin", "*", "/.*"),
        deny("authenticated", "PUT", "/rules/.*"),
        deny("*", "GET", "/rules"),
        deny("admin", "DELETE", "/rules/[^/]+"),
    ] {
        given::<Policy>(guarded())
            .when(add(9, rule.clone()))
            .then_expect_error(PolicyRejection::LastAdministrator);
        let harmless = added(9, deny("staff", "*", "/.*"));
        given::<Policy>(guarded_and(harmless))
            .when(change(9, rule))
            .then_expect_error(PolicyRejection::LastAdministrator);
    }
}

#[test]
fn nobody_takes_away_what_signing_in_needs() {
    for command in [
        remove_public(2),
        add(9, deny("anonymous", "POST", "/log.*")),
        add(9, deny("*", "*", "/login")),
    ] {
        given::<Policy>(guarded())
            .when(command)
            .then_expect_error(PolicyRejection::LastAdministrator);
    }
}

#[test]
fn deny_rules_about_others_or_other_paths_are_fine() {
    for rule in [
        deny("staff", "*", "/rules(/.*)?"),
        deny("admin", "*", "/orders"),
        deny("anonymous", "*", "/products"),
        deny("*", "PATCH", "/.*"),
    ] {
        given::<Policy>(guarded())
            .when(add(9, rule.clone()))
            .then_expect_events(vec![added(9, rule)]);
    }
}

#[test]
fn what_administrators_could_not_do_before_binds_nobody() {
    let rule = deny("admin", "*", "/.*");
    given::<Policy>(vec![]).when(add(9, rule.clone())).then_expect_events(vec![added(9, rule)]);
    let events = vec![added(7, allow("staff", "*", "/.*"))];
    given::<Policy>(events).when(remove(7)).then_expect_events(vec![removed(7)]);
}

#[test]
fn a_lock_is_refused_even_when_administrators_can_do_only_a_part() {
    let only_read = vec![added(1, allow("admin", "GET", "/.*"))];
    given::<Policy>(only_read)
        .when(remove(1))
        .then_expect_error(PolicyRejection::LastAdministrator);
}

fn refuses(administrators: &[&[&str]], rule: Rule) {
    let add = PolicyChange::AddRule { rule_id: id(9), rule };
    given::<Policy>(guarded())
        .when(keeping(administrators, add))
        .then_expect_error(PolicyRejection::LastAdministrator);
}

#[test]
fn an_administrator_is_asked_for_with_all_their_roles() {
    for role in ["customer", "authenticated", "*"] {
        refuses(&[&["admin", "customer"]], deny(role, "*", "/rules.*"));
    }
    // Each of them, not only one: nobody is shut out by a change of the rules.
    let everybody: &[&[&str]] = &[&["admin", "customer"], &["admin", "customer", "intern"]];
    refuses(everybody, deny("intern", "DELETE", "/rules/.*"));
    let rule = deny("intern", "*", "/rules.*");
    given::<Policy>(guarded()).when(add(9, rule.clone())).then_expect_events(vec![added(9, rule)]);
}

#[test]
fn no_rule_is_immortal_whatever_id_it_has_or_gets() {
    for ids in [
        // As today's begin, as tomorrow's do, one, and one of another version.
        "019[0-9a-f].*",
        "[a-f].*",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "[^/]{14}4.*",
        ".*0.{20}",
    ] {
        for (method, path) in [("DELETE", "/rules/"), ("*", "/rules/"), ("DELETE", "/bans/")] {
            refuses(&[&["admin"]], deny("admin", method, &format!("{path}{ids}")));
        }
        // The same of the rule that lets them do it: it names all ids, or it counts for nothing.
        given::<Policy>(guarded())
            .when(change(1, allow("admin", "*", &format!("/(rules|bans)(/{ids})?"))))
            .then_expect_error(PolicyRejection::LastAdministrator);
    }
    let hex = "[0-9a-f]";
    let every = format!("/(rules|bans)(/{hex}{{8}}(-{hex}{{4}}){{3}}-{hex}{{12}})?");
    let every = allow("admin", "*", &every);
    given::<Policy>(guarded())
        .when(change(1, every.clone()))
        .then_expect_events(vec![changed(1, every)]);
}

#[test]
fn what_is_no_id_is_not_protected() {
    for path in ["/rules/explain", "/rules/[a-z]+", "/rules/.*/history", "/rules/[0-9A-F-]{35}"] {
        let rule = deny("admin", "*", path);
        given::<Policy>(guarded())
            .when(add(9, rule.clone()))
            .then_expect_events(vec![added(9, rule)]);
    }
}

#[test]
fn nobody_is_bound_on_the_command_line() {
    let change = PolicyChange::RemoveRule { rule_id: id(1) };
    given::<Policy>(guarded())
        .when(PolicyCommand { changes: vec![change], way_back: None })
        .then_expect_events(vec![removed(1)]);
}

fn several(changes: Vec<PolicyChange>) -> PolicyCommand {
    PolicyCommand { changes, ..asked(PolicyChange::RemoveRule { rule_id: id(1) }) }
}

#[test]
fn changes_that_are_asked_for_together_are_judged_by_what_they_come_to() {
    let remove = PolicyChange::RemoveRule { rule_id: id(1) };
    let other = allow("admin", "*", "/(rules|bans)(/.*)?");
    let put = PolicyChange::AddRule { rule_id: id(3), rule: other.clone() };
    given::<Policy>(guarded())
        .when(several(vec![remove.clone(), put.clone()]))
        .then_expect_events(vec![removed(1), added(3, other)]);
    // All or nothing, and nobody is locked out by a detour.
    given::<Policy>(guarded())
        .when(several(vec![put.clone(), remove.clone(), remove.clone()]))
        .then_expect_error(PolicyRejection::NotFound);
    let back = PolicyChange::RemoveRule { rule_id: id(3) };
    given::<Policy>(guarded())
        .when(several(vec![remove, put, back]))
        .then_expect_error(PolicyRejection::LastAdministrator);
}

// A small shop in which people are appointed and dismissed while its rules change.

const ROLES: [&str; 5] = ["*", "authenticated", "admin", "customer", "staff"];
const GRANTED: [&str; 3] = ["admin", "customer", "staff"];
const METHODS: [&str; 4] = ["*", "GET", "POST", "DELETE"];
const PATTERNS: [&str; 12] = [
    "/.*",
    "/rules",
    "/rules(/.*)?",
    "/rules/[^/]+",
    "/rules/0190.*",
    "/rules/[0-9a-f-]*[02468ace]",
    "/rules/[0-9a-f-]{36}",
    "/bans/.*",
    "/(rules|bans)(/.*)?",
    "/log.*",
    "/login|/rules",
    "/tea",
];
const ADDRESSES: [&str; 3] = ["10.0.0.1", "10.1.0.1", "2001:db8::1"];
const NETWORKS: [&str; 4] = ["10.0.0.0/8", "10.0.0.0/16", "10.1.0.1/32", "2001:db8::/32"];

/// Somebody with an account: the roles, until they are banned.
type Person = Option<BTreeSet<RoleName>>;

/// Of the entry of a number, with what a rule says, a method and a pattern.
type Change = fn(u128, Rule, &str, &str) -> PolicyCommand;

#[derive(Debug, Clone)]
enum Step {
    /// A change of the policy, of the entry `number` where there is one already.
    Policy { change: Change, number: u128, rule: Rule },
    /// A ban of a network, asked for from an address.
    Ban { number: u128, network: &'static str, from: &'static str },
    /// Somebody's roles are others, or they are banned.
    Person { index: usize, becomes: Person },
}

/// The role that the rule names, if it is one that can be granted.
fn named(rule: &Rule) -> String {
    match &rule.roles[..] {
        [RoleSelector::Role(role)] if !role.is_reserved() => role.to_string(),
        _ => "admin".to_owned(),
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        prop_oneof![Just(Effect::Allow), Just(Effect::Deny)],
        prop::sample::select(&ROLES[..]),
        prop::sample::select(&METHODS[..]),
        prop::sample::select(&PATTERNS[..]),
    )
        .prop_map(|(effect, role, method, path)| rule(effect, role, method, path))
}

fn any_person() -> impl Strategy<Value = Person> {
    let roles = prop::sample::subsequence(GRANTED.to_vec(), 0..=3);
    prop::option::weighted(0.8, roles.prop_map(|names| names.into_iter().map(role).collect()))
}

fn any_step() -> impl Strategy<Value = Step> {
    let changes: Vec<Change> = vec![
        |number, rule, _, _| add(number, rule),
        |number, rule, _, _| change(number, rule),
        |number, _, _, _| remove(number),
        |number, _, method, path| add_public(number, method, path),
        |number, _, _, _| remove_public(number),
        |_, rule, _, _| require(&named(&rule)),
        |_, rule, _, _| waive(&named(&rule)),
    ];
    prop_oneof![
        6 => (prop::sample::select(changes), 1_u128..12, any_rule())
            .prop_map(|(change, number, rule)| Step::Policy { change, number, rule }),
        1 => (1_u128..12, prop::sample::select(&NETWORKS[..]), prop::sample::select(&ADDRESSES[..]))
            .prop_map(|(number, network, from)| Step::Ban { number, network, from }),
        3 => (0_usize..4, any_person())
            .prop_map(|(index, becomes)| Step::Person { index, becomes }),
    ]
}

fn administrators(people: &[Person]) -> BTreeSet<BTreeSet<RoleName>> {
    people.iter().flatten().filter(|roles| roles.contains(&role("admin"))).cloned().collect()
}

/// Whether somebody with these roles gets through the guard with every request that undoing takes, for
/// what there is in the policy and for what may come.
fn gets_in(policy: &Policy, roles: &BTreeSet<RoleName>) -> bool {
    let compiled = CompiledPolicy::compile(policy, 1).expect("it is small");
    let rules = policy.rules.keys().map(|id| id.uuid());
    let bans = policy.bans.keys().map(|id| id.uuid());
    let later = [Uuid::nil(), Uuid::max(), Uuid::from_u128(0x0190_7000 << 96)];
    let ids: Vec<_> = rules.chain(bans).chain(later).collect();
    let sets_up = !roles.is_disjoint(&policy.second_factor_roles);
    let lifelines = LIFELINES.iter().filter(|line| sets_up || line.asking != Asking::Newcomer);
    lifelines.into_iter().all(|lifeline| {
        ids.iter().all(|id| {
            let path = lifeline.path.replace("{id}", &id.to_string());
            let path = canonical_path(&path).expect("a canonical path");
            let counting = roles.difference(&policy.second_factor_roles).cloned().collect();
            // As the guard does: what is denied to a role that does not count stays denied.
            let callers = match lifeline.asking {
                Asking::Stranger => vec![Caller::Anonymous],
                Asking::Newcomer => vec![Caller::SignedIn(&counting), Caller::SignedIn(roles)],
                Asking::Administrator => vec![Caller::SignedIn(roles)],
            };
            let is_allowed = |caller| compiled.decide(caller, lifeline.method, path).is_allowed();
            callers.into_iter().all(is_allowed)
        })
    })
}

fn is_banned(policy: &Policy, from: &str) -> bool {
    let from: IpAddr = from.parse().expect("an address");
    let compiled = CompiledPolicy::compile(policy, 1).expect("it is small");
    compiled.is_address_banned(from, at(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_every_accepted_change_an_administrator_can_undo_it(
        steps in prop::collection::vec(any_step(), 1..25),
    ) {
        let mut policy: Policy = state(guarded());
        let granted = |names: &[&str]| Some(names.iter().map(|name| role(name)).collect());
        let mut people: Vec<Person> =
            vec![granted(&["admin", "customer"]), granted(&["customer"]), granted(&[]), None];
        for step in steps {
            let (command, from) = match step {
                Step::Policy { change, number, rule } => {
                    let (method, path) = (rule.methods[0].to_string(), rule.path.clone());
                    (change(number, rule, &method, &path), None)
                }
                // Who is banned does not get as far as that.
                Step::Ban { from, .. } if is_banned(&policy, from) => continue,
                Step::Ban { number, network, from } => {
                    (ban_from(Some(from), number, network, None), Some(from))
                }
                Step::Person { index, becomes } => {
                    // Whoever decides about people asks the policy the same question.
                    let mut afterwards = people.clone();
                    afterwards[index] = becomes;
                    if administrators(&afterwards)
                        .iter()
                        .any(|roles| lets_repair(&policy, &LIFELINES, roles) == Ok(true))
                    {
                        people = afterwards;
                    }
                    continue;
                }
            };
            let way_back = WayBack {
                lifelines: LIFELINES.to_vec(),
                administrators: administrators(&people),
            };
            let command = PolicyCommand { way_back: Some(way_back), ..command };
            if let Ok(events) = policy.decide(command, &crate::testing::facts_at(0)) {
                events.into_iter().for_each(|event| policy.apply(event));
                prop_assert!(administrators(&people).iter().any(|roles| gets_in(&policy, roles)));
                prop_assert!(from.is_none_or(|from| !is_banned(&policy, from)));
            }
        }
    }
}
