mod canonical;
mod compiled;
mod shape;
mod size;
mod way_back;

use super::*;
use crate::testing::{at, given, id, reason, role, state};
use crate::{Rejection, RejectionKind};
use cqrs_es::Aggregate;

fn roles(names: &[&str]) -> Vec<RoleSelector> {
    let selector = |name: &&str| RoleSelector::try_from((*name).to_owned());
    names.iter().map(selector).collect::<Result<_, _>>().expect("valid roles")
}

fn methods(names: &[&str]) -> Vec<MethodSelector> {
    let selector = |name: &&str| MethodSelector::try_from((*name).to_owned());
    names.iter().map(selector).collect::<Result<_, _>>().expect("valid methods")
}

fn rule(effect: Effect, role: &str, method: &str, path: &str) -> Rule {
    Rule {
        effect,
        roles: roles(&[role]),
        methods: methods(&[method]),
        path: path.to_owned(),
        note: String::new(),
    }
}

fn allow(role: &str, method: &str, path: &str) -> Rule {
    rule(Effect::Allow, role, method, path)
}

fn deny(role: &str, method: &str, path: &str) -> Rule {
    rule(Effect::Deny, role, method, path)
}

/// The change, asked for where these are the administrators.
fn keeping(administrators: &[&[&str]], change: PolicyChange) -> PolicyCommand {
    let administrators = administrators.iter().map(|roles| roles.iter().map(|name| role(name)));
    let administrators = administrators.map(Iterator::collect).collect();
    let way_back = WayBack { lifelines: LIFELINES.to_vec(), administrators };
    PolicyCommand { changes: vec![change], way_back: Some(way_back) }
}

/// The change where every administrator is a customer too, as real ones are.
fn asked(change: PolicyChange) -> PolicyCommand {
    keeping(&[&["admin", "customer"]], change)
}

fn add(number: u128, rule: Rule) -> PolicyCommand {
    asked(PolicyChange::AddRule { rule_id: id(number), rule })
}

fn added(number: u128, rule: Rule) -> PolicyEvent {
    PolicyEvent::RuleAdded { rule_id: id(number), rule }
}

fn change(number: u128, rule: Rule) -> PolicyCommand {
    asked(PolicyChange::ChangeRule { rule_id: id(number), rule })
}

fn changed(number: u128, rule: Rule) -> PolicyEvent {
    PolicyEvent::RuleChanged { rule_id: id(number), rule }
}

fn remove(number: u128) -> PolicyCommand {
    asked(PolicyChange::RemoveRule { rule_id: id(number) })
}

fn removed(number: u128) -> PolicyEvent {
    PolicyEvent::RuleRemoved { rule_id: id(number) }
}

fn add_public(number: u128, method: &str, path: &str) -> PolicyCommand {
    asked(PolicyChange::AddPublicPath {
        public_path_id: id(number),
        methods: methods(&[method]),
        path: path.to_owned(),
    })
}

fn public(number: u128, method: &str, path: &str) -> PolicyEvent {
    PolicyEvent::PublicPathAdded {
        public_path_id: id(number),
        methods: methods(&[method]),
        path: path.to_owned(),
    }
}

fn remove_public(number: u128) -> PolicyCommand {
    asked(PolicyChange::RemovePublicPath { public_path_id: id(number) })
}

fn ban(number: u128, network: &str, until: Option<i64>) -> PolicyCommand {
    ban_from(None, number, network, until)
}

fn ban_from(
    asked_from: Option<&str>,
    number: u128,
    network: &str,
    until: Option<i64>,
) -> PolicyCommand {
    asked(PolicyChange::BanAddress {
        ban_id: id(number),
        cidr: network.parse().expect("a network"),
        reason: reason("scraping"),
        until: until.map(at),
        asked_from: asked_from.map(|from| from.parse().expect("an address")),
    })
}

fn banned(number: u128, network: &str, until: Option<i64>) -> PolicyEvent {
    PolicyEvent::AddressBanned {
        ban_id: id(number),
        cidr: network.parse().expect("a network"),
        reason: reason("scraping"),
        until: until.map(at),
    }
}

fn require(name: &str) -> PolicyCommand {
    asked(PolicyChange::RequireSecondFactor { role: role(name) })
}

fn required(name: &str) -> PolicyEvent {
    PolicyEvent::SecondFactorRequired { role: role(name) }
}

fn waive(name: &str) -> PolicyCommand {
    asked(PolicyChange::WaiveSecondFactor { role: role(name) })
}

fn unban(number: u128) -> PolicyCommand {
    asked(PolicyChange::UnbanAddress { ban_id: id(number) })
}

/// What repairing takes in these tests.
const LIFELINES: [Lifeline; 8] = [
    lifeline(false, "POST", "/login"),
    lifeline(true, "GET", "/rules"),
    lifeline(true, "POST", "/rules"),
    lifeline(true, "GET", "/rules/{id}"),
    lifeline(true, "PUT", "/rules/{id}"),
    lifeline(true, "DELETE", "/rules/{id}"),
    lifeline(true, "DELETE", "/bans/{id}"),
    Lifeline { asking: Asking::Newcomer, method: "POST", path: "/factor" },
];

const fn lifeline(signed_in: bool, method: &'static str, path: &'static str) -> Lifeline {
    let asking = if signed_in { Asking::Administrator } else { Asking::Stranger };
    Lifeline { asking, method, path }
}

/// A shop with one administrator's rule (1) and the public path of signing in (2).
fn guarded() -> Vec<PolicyEvent> {
    vec![added(1, allow("admin", "*", "/.*")), public(2, "POST", "/login")]
}

fn guarded_and(event: PolicyEvent) -> Vec<PolicyEvent> {
    [guarded(), vec![event]].concat()
}

#[test]
fn a_rule_is_added_once() {
    let tea = || allow("staff", "GET", "/tea");
    given::<Policy>(vec![]).when(add(7, tea())).then_expect_events(vec![added(7, tea())]);
    given::<Policy>(vec![added(7, tea())]).when(add(7, tea())).then_expect_events(vec![]);
    given::<Policy>(vec![added(7, tea())])
        .when(add(7, allow("staff", "GET", "/coffee")))
        .then_expect_error(PolicyRejection::AlreadyExists);
}

#[test]
fn a_rule_counts_its_changes() {
    let events = vec![
        added(7, allow("staff", "GET", "/tea")),
        changed(7, allow("staff", "GET", "/coffee")),
        changed(7, allow("staff", "GET", "/water")),
    ];
    let policy: Policy = state(events);
    assert_eq!(policy.rules[&id(7)].version, 3);
    assert_eq!(policy.rules[&id(7)].rule.path, "/water");
}

#[test]
fn changing_a_rule_to_what_it_is_changes_nothing() {
    let tea = || allow("staff", "GET", "/tea");
    given::<Policy>(vec![added(7, tea())]).when(change(7, tea())).then_expect_events(vec![]);
}

#[test]
fn what_is_not_in_the_policy_is_absent() {
    let unban = unban(7);
    for command in [change(7, allow("staff", "GET", "/tea")), remove(7), remove_public(7), unban] {
        given::<Policy>(guarded()).when(command).then_expect_error(PolicyRejection::NotFound);
    }
    assert_eq!(PolicyRejection::NotFound.kind(), RejectionKind::Absent);
}

#[test]
fn a_removed_rule_is_gone() {
    let before = vec![added(7, allow("staff", "GET", "/tea"))];
    given::<Policy>(before.clone()).when(remove(7)).then_expect_events(vec![removed(7)]);
    assert_eq!(state::<Policy>([before, vec![removed(7)]].concat()), Policy::default());
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_with_the_reason() {
    let result =
        given::<Policy>(vec![]).when(add(7, allow("staff", "GET", "/tea["))).inspect_result();
    let rejection = result.expect_err("the pattern is bad");
    assert_eq!((rejection.code(), rejection.kind()), ("bad_pattern", RejectionKind::Invalid));
    assert!(rejection.to_string().contains("unclosed character class"), "{rejection}");
}

#[test]
fn every_bad_pattern_is_refused_wherever_it_is_written() {
    let too_long = "a".repeat(MAX_PATTERN_CHARS + 1);
    let bad_patterns = [
        "/tea(",
        "/tea)",
        "*",
        // Would escape from our anchors: `^(?:/tea)|(?:/admin)$`.
        "/tea)|(?:/admin",
        // Would swallow our anchor: `^(?:(?x)/tea#)$`.
        "(?x)/tea#",
        // Compiles to more than a pattern may take.
        "((a{100}){100}){100}",
        "/tea\n/coffee",
        "/tea\0",
        &too_long,
    ];
    for pattern in bad_patterns {
        let tea = added(7, allow("staff", "GET", "/tea"));
        let commands = [
            (vec![], add(7, allow("staff", "GET", pattern))),
            (vec![], add(7, deny("staff", "GET", pattern))),
            (vec![tea], change(7, allow("staff", "GET", pattern))),
            (vec![], add_public(7, "GET", pattern)),
        ];
        for (before, command) in commands {
            let result = given::<Policy>(before).when(command).inspect_result();
            assert!(
                matches!(result, Err(PolicyRejection::BadPattern { .. })),
                "{pattern:?} was accepted: {result:?}"
            );
        }
    }
}

#[test]
fn a_pattern_of_the_greatest_length_is_accepted() {
    let longest = format!("/{}", "a".repeat(MAX_PATTERN_CHARS - 1));
    let result = given::<Policy>(vec![]).when(add(7, allow("staff", "GET", &longest)));
    assert_eq!(result.inspect_result().map(|events| events.len()), Ok(1));
}

#[test]
fn a_rule_names_roles_and_methods_within_bounds() {
    let template = || allow("staff", "GET", "/tea");
    let many_roles = vec![RoleSelector::Any; MAX_ROLES + 1];
    let many_methods = vec![MethodSelector::Any; MAX_METHODS + 1];
    for rule in [
        Rule { roles: vec![], ..template() },
        Rule { methods: vec![], ..template() },
        Rule { roles: many_roles, ..template() },
        Rule { methods: many_methods, ..template() },
    ] {
        given::<Policy>(vec![])
            .when(add(7, rule))
            .then_expect_error(PolicyRejection::SelectorsOutOfRange);
    }
}

#[test]
fn a_note_is_short_and_printable() {
    for note in ["x".repeat(MAX_NOTE_CHARS + 1), "a\0b".to_owned()] {
        let rule = Rule { note, ..allow("staff", "GET", "/tea") };
        given::<Policy>(vec![]).when(add(7, rule)).then_expect_error(PolicyRejection::BadNote);
    }
    let rule = Rule { note: "茶".repeat(MAX_NOTE_CHARS), ..allow("staff", "GET", "/tea") };
    given::<Policy>(vec![]).when(add(7, rule.clone())).then_expect_events(vec![added(7, rule)]);
}

#[test]
fn the_number_of_rules_is_bounded() {
    let full: Vec<_> = (0..MAX_RULES as u128)
        .map(|number| added(number, allow("staff", "GET", &format!("/tea/{number}"))))
        .collect();
    given::<Policy>(full)
        .when(add(1_000_000, allow("staff", "GET", "/tea")))
        .then_expect_error(PolicyRejection::TooManyRules);
}

#[test]
fn the_number_of_public_paths_is_bounded() {
    let full: Vec<_> = (0..MAX_PUBLIC_PATHS as u128)
        .map(|number| public(number, "GET", &format!("/tea/{number}")))
        .collect();
    given::<Policy>(full)
        .when(add_public(1_000_000, "GET", "/tea"))
        .then_expect_error(PolicyRejection::TooManyPublicPaths);
}

#[test]
fn a_public_path_is_added_and_removed_once() {
    given::<Policy>(vec![])
        .when(add_public(7, "GET", "/tea"))
        .then_expect_events(vec![public(7, "GET", "/tea")]);
    given::<Policy>(vec![public(7, "GET", "/tea")])
        .when(add_public(7, "GET", "/tea"))
        .then_expect_events(vec![]);
    given::<Policy>(vec![public(7, "GET", "/tea")])
        .when(add_public(7, "POST", "/tea"))
        .then_expect_error(PolicyRejection::AlreadyExists);
    given::<Policy>(vec![public(7, "GET", "/tea")])
        .when(remove_public(7))
        .then_expect_events(vec![PolicyEvent::PublicPathRemoved { public_path_id: id(7) }]);
}

#[test]
fn a_network_is_banned_and_unbanned() {
    given::<Policy>(vec![]).when(ban(7, "10.1.0.0/16", Some(60))).then_expect_events(vec![banned(
        7,
        "10.1.0.0/16",
        Some(60),
    )]);
    given::<Policy>(vec![banned(7, "10.1.0.0/16", None)])
        .when(ban(7, "10.1.0.0/16", None))
        .then_expect_events(vec![]);
    given::<Policy>(vec![banned(7, "10.1.0.0/16", None)])
        .when(ban(7, "10.2.0.0/16", None))
        .then_expect_error(PolicyRejection::AlreadyExists);
    given::<Policy>(vec![banned(7, "10.1.0.0/16", None)])
        .when(unban(7))
        .then_expect_events(vec![PolicyEvent::AddressUnbanned { ban_id: id(7) }]);
}

#[test]
fn a_ban_is_recorded_in_the_form_that_is_compared() {
    for (written, recorded) in [
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("::ffff:10.1.2.3/128", "10.1.2.3/32"),
        ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
        ("2001:db8::1/32", "2001:db8::/32"),
    ] {
        given::<Policy>(vec![])
            .when(ban(7, written, None))
            .then_expect_events(vec![banned(7, recorded, None)]);
    }
}

#[test]
fn a_ban_does_not_shut_out_the_world() {
    for network in ["0.0.0.0/0", "0.0.0.0/7", "::/0", "::/15", "::ffff:0.0.0.0/96"] {
        given::<Policy>(vec![])
            .when(ban(7, network, None))
            .then_expect_error(PolicyRejection::NetworkTooWide);
    }
}

#[test]
fn a_ban_never_holds_the_address_that_it_is_asked_for_from() {
    for (from, network) in [
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3", "::ffff:10.1.0.0/112"),
        ("2001:db8::1", "2001:db8::/32"),
    ] {
        for until in [None, Some(60)] {
            given::<Policy>(vec![])
                .when(ban_from(Some(from), 7, network, until))
                .then_expect_error(PolicyRejection::WouldLockOut);
        }
    }
    given::<Policy>(vec![])
        .when(ban_from(Some("10.2.0.1"), 7, "10.1.0.0/16", None))
        .then_expect_events(vec![banned(7, "10.1.0.0/16", None)]);
    assert_eq!(PolicyRejection::WouldLockOut.kind(), RejectionKind::Conflict);
}

#[test]
fn the_number_of_bans_is_bounded() {
    let full: Vec<_> =
        (0..MAX_BANS as u128).map(|number| banned(number, "10.0.0.1/32", None)).collect();
    given::<Policy>(full)
        .when(ban(1_000_000, "10.0.0.1/32", None))
        .then_expect_error(PolicyRejection::TooManyBans);
}

#[test]
fn selectors_read_and_write_the_same_text() {
    for text in ["*", "staff", "anonymous"] {
        assert_eq!(String::from(roles(&[text]).remove(0)), text);
    }
    for text in ["*", "GET", "PATCH"] {
        assert_eq!(String::from(methods(&[text]).remove(0)), text);
    }
}

#[test]
fn selectors_that_could_never_match_are_refused() {
    for text in ["", "get", "HEAD", "GETS", "**", "GET,POST"] {
        assert!(MethodSelector::try_from(text.to_owned()).is_err(), "{text:?}");
    }
    for text in ["", "**", "a b", "a*"] {
        assert!(RoleSelector::try_from(text.to_owned()).is_err(), "{text:?}");
    }
}

#[test]
fn a_network_is_read_with_and_without_its_length() {
    for (text, network) in [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.9.9.9/8", "10.0.0.0/8"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
    ] {
        assert_eq!(parse_network(text).map(|network| network.to_string()), Ok(network.to_owned()));
    }
    for text in ["", "10.0.0", "10.0.0.1/33", "example.com", "10.0.0.1/", "10.0.0.1:80"] {
        assert!(parse_network(text).is_err(), "{text:?}");
    }
}

#[test]
fn applying_what_the_policy_does_not_hold_changes_nothing() {
    let mut policy: Policy = state(guarded());
    let before = policy.clone();
    policy.apply(changed(99, allow("staff", "GET", "/tea")));
    policy.apply(removed(99));
    assert_eq!(policy, before);
}

#[test]
fn a_role_wants_a_second_factor_once_and_no_more() {
    given::<Policy>(guarded()).when(require("staff")).then_expect_events(vec![required("staff")]);
    let wanting = || guarded_and(required("staff"));
    given::<Policy>(wanting()).when(require("staff")).then_expect_events(vec![]);
    let waived = PolicyEvent::SecondFactorWaived { role: role("staff") };
    given::<Policy>(wanting()).when(waive("staff")).then_expect_events(vec![waived]);
    given::<Policy>(guarded()).when(waive("staff")).then_expect_events(vec![]);
    let full = (0..MAX_SECOND_FACTOR_ROLES).map(|number| required(&format!("role-{number}")));
    given::<Policy>(guarded().into_iter().chain(full).collect())
        .when(require("staff"))
        .then_expect_error(PolicyRejection::TooManySecondFactorRoles);
}

#[test]
fn administrators_who_have_no_second_factor_yet_can_set_one_up() {
    // What lets them is their role itself, which would not count.
    given::<Policy>(guarded())
        .when(require("admin"))
        .then_expect_error(PolicyRejection::LastAdministrator);
    let open = guarded_and(added(3, allow("authenticated", "POST", "/factor")));
    given::<Policy>(open.clone())
        .when(require("admin"))
        .then_expect_events(vec![required("admin")]);
    let wanting = [open.clone(), vec![required("admin")]].concat();
    given::<Policy>(wanting.clone())
        .when(remove(3))
        .then_expect_error(PolicyRejection::LastAdministrator);
    // What is denied to a role stays denied while the role itself does not count.
    for denied in ["authenticated", "admin"] {
        let denied = deny(denied, "POST", "/factor");
        given::<Policy>(wanting.clone())
            .when(add(4, denied.clone()))
            .then_expect_error(PolicyRejection::LastAdministrator);
        given::<Policy>([open.clone(), vec![added(4, denied)]].concat())
            .when(require("admin"))
            .then_expect_error(PolicyRejection::LastAdministrator);
    }
}
