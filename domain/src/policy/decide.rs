use super::matcher::{automaton_bytes, needs_automaton};
use super::selectors::normalized;
use super::state::{MAX_BANS, MAX_PUBLIC_PATHS, MAX_RULES, MAX_SECOND_FACTOR_ROLES};
use super::{
    AddressBan, MethodSelector, PathShape, Policy, PolicyEvent, PolicyRejection, PublicPath, Rule,
    TooInvolved, WayBack, overlaps, pattern,
};
use crate::{BanId, Facts, PublicPathId, Reason, RoleName, RuleId, Timestamp};
use cqrs_es::Aggregate;
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The most roles that one rule names.
pub const MAX_ROLES: usize = 50;

/// The most methods that one rule or public path names.
pub const MAX_METHODS: usize = 10;

/// The longest note of a rule.
pub const MAX_NOTE_CHARS: usize = 500;

/// What the patterns take together of which one stretch of a segment varying is not all: an automaton and the
/// states that it remembers are eight times as big, and a policy is in memory twice while it changes.
pub(super) const MAX_AUTOMATON_KIB: usize = 3 * 1024;

/// The widest network that can be banned, by its bits: a wider one would shut out whole countries,
/// and whoever could lift the ban.
pub(super) const MIN_PREFIX_V4: u8 = 8;
pub(super) const MIN_PREFIX_V6: u8 = 16;

/// What can be asked of the policy: changes, and who must be able to undo them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCommand {
    /// The changes, in order. All of them are made or none, and only what they come to together must
    /// leave a way back.
    pub changes: Vec<PolicyChange>,
    /// What they must leave as it is. Absent where nobody is bound: while a shop is set up, and on the
    /// command line, which is the way in for whoever is locked out.
    pub way_back: Option<WayBack>,
}

/// A change of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyChange {
    /// Put a rule in force.
    AddRule {
        /// Its id.
        rule_id: RuleId,
        /// What it says.
        rule: Rule,
    },
    /// Make a rule say something else.
    ChangeRule {
        /// Its id.
        rule_id: RuleId,
        /// What it says then, whole.
        rule: Rule,
    },
    /// Take a rule out of force.
    RemoveRule {
        /// Its id.
        rule_id: RuleId,
    },
    /// Let everybody use some paths.
    AddPublicPath {
        /// Its id.
        public_path_id: PublicPathId,
        /// As in a rule.
        methods: Vec<MethodSelector>,
        /// As in a rule.
        path: String,
    },
    /// Take a public path out of force.
    RemovePublicPath {
        /// Its id.
        public_path_id: PublicPathId,
    },
    /// Keep everybody at these addresses from doing anything.
    BanAddress {
        /// The ban's id.
        ban_id: BanId,
        /// The network; see [`super::parse_network`].
        cidr: IpNet,
        /// Why.
        reason: Reason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
        /// From where it is asked for, if it is from an address: one that the ban must not hold.
        asked_from: Option<IpAddr>,
    },
    /// Lift a ban.
    UnbanAddress {
        /// The ban's id.
        ban_id: BanId,
    },
    /// Let a role count only for whoever has proved themselves with a second factor.
    RequireSecondFactor {
        /// The role.
        role: RoleName,
    },
    /// Let it count without one again.
    WaiveSecondFactor {
        /// The role.
        role: RoleName,
    },
}

impl Policy {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`PolicyRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: PolicyCommand,
        _facts: &Facts,
    ) -> Result<Vec<PolicyEvent>, PolicyRejection> {
        let PolicyCommand { changes, way_back } = command;
        let mut after = Cow::Borrowed(self);
        let mut events = vec![];
        for change in changes {
            if let Some(event) = after.decide_one(change)? {
                after.to_mut().apply(event.clone());
                events.push(event);
            }
        }
        self.check_size(&after, &events)?;
        match way_back.map_or(Ok(false), |way_back| way_back.is_lost(self, &after, &events)) {
            Ok(false) => Ok(events),
            Ok(true) => Err(PolicyRejection::LastAdministrator),
            Err(TooInvolved) => Err(PolicyRejection::TooInvolved),
        }
    }

    /// Whether the patterns that come along have room. What is bigger from before there was a bound stays, and
    /// only gets smaller.
    fn check_size(&self, after: &Self, events: &[PolicyEvent]) -> Result<(), PolicyRejection> {
        let adds = |event: &PolicyEvent| match event {
            PolicyEvent::RuleAdded { rule, .. } => needs_automaton(&rule.path),
            PolicyEvent::RuleChanged { rule_id, rule } => {
                let same = self.rules.get(rule_id).is_some_and(|held| held.rule.path == rule.path);
                !same && needs_automaton(&rule.path)
            }
            PolicyEvent::PublicPathAdded { path, .. } => needs_automaton(path),
            PolicyEvent::RuleRemoved { .. }
            | PolicyEvent::PublicPathRemoved { .. }
            | PolicyEvent::AddressBanned { .. }
            | PolicyEvent::AddressUnbanned { .. }
            | PolicyEvent::SecondFactorRequired { .. }
            | PolicyEvent::SecondFactorWaived { .. } => false,
        };
        if !events.iter().any(adds) {
            return Ok(());
        }
        let rules = after.rules.values().map(|held| held.rule.path.as_str());
        let public_paths = after.public_paths.values().map(|entry| entry.path.as_str());
        let patterns: BTreeSet<_> = rules.chain(public_paths).collect();
        let fits = automaton_bytes(patterns.into_iter()) <= MAX_AUTOMATON_KIB * 1024;
        if fits { Ok(()) } else { Err(PolicyRejection::PatternsTooBig) }
    }

    fn decide_one(&self, change: PolicyChange) -> Result<Option<PolicyEvent>, PolicyRejection> {
        match change {
            PolicyChange::AddRule { rule_id, rule } => {
                if is_new(self.rules.get(&rule_id).map(|held| &held.rule), &rule)? {
                    check_rule(&rule)?;
                    check_room(self.rules.len(), MAX_RULES, PolicyRejection::TooManyRules)?;
                    return Ok(Some(PolicyEvent::RuleAdded { rule_id, rule }));
                }
                Ok(None)
            }
            PolicyChange::ChangeRule { rule_id, rule } => {
                let held = self.rules.get(&rule_id).ok_or(PolicyRejection::NotFound)?;
                check_rule(&rule)?;
                let same = held.rule == rule;
                Ok((!same).then_some(PolicyEvent::RuleChanged { rule_id, rule }))
            }
            PolicyChange::RemoveRule { rule_id } => {
                self.rules.get(&rule_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::RuleRemoved { rule_id }))
            }
            PolicyChange::AddPublicPath { public_path_id, methods, path } => {
                let entry = PublicPath { methods, path };
                if is_new(self.public_paths.get(&public_path_id), &entry)? {
                    check_methods(&entry.methods)?;
                    check_pattern(&entry.path)?;
                    let full = PolicyRejection::TooManyPublicPaths;
                    check_room(self.public_paths.len(), MAX_PUBLIC_PATHS, full)?;
                    let PublicPath { methods, path } = entry;
                    return Ok(Some(PolicyEvent::PublicPathAdded {
                        public_path_id,
                        methods,
                        path,
                    }));
                }
                Ok(None)
            }
            PolicyChange::RemovePublicPath { public_path_id } => {
                self.public_paths.get(&public_path_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::PublicPathRemoved { public_path_id }))
            }
            PolicyChange::BanAddress { ban_id, cidr, reason, until, asked_from } => {
                let ban = AddressBan { cidr: normalized(cidr), reason, until };
                if is_new(self.bans.get(&ban_id), &ban)? {
                    check_network(&ban.cidr)?;
                    check_room(self.bans.len(), MAX_BANS, PolicyRejection::TooManyBans)?;
                    // Whether or not it ends by itself: until then nobody there could lift it.
                    if asked_from.is_some_and(|from| ban.cidr.contains(&from.to_canonical())) {
                        return Err(PolicyRejection::WouldLockOut);
                    }
                    let AddressBan { cidr, reason, until } = ban;
                    return Ok(Some(PolicyEvent::AddressBanned { ban_id, cidr, reason, until }));
                }
                Ok(None)
            }
            PolicyChange::UnbanAddress { ban_id } => {
                self.bans.get(&ban_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::AddressUnbanned { ban_id }))
            }
            PolicyChange::RequireSecondFactor { role } => {
                if self.second_factor_roles.contains(&role) {
                    return Ok(None);
                }
                let full = PolicyRejection::TooManySecondFactorRoles;
                check_room(self.second_factor_roles.len(), MAX_SECOND_FACTOR_ROLES, full)?;
                Ok(Some(PolicyEvent::SecondFactorRequired { role }))
            }
            PolicyChange::WaiveSecondFactor { role } => {
                let wanted = self.second_factor_roles.contains(&role);
                Ok(wanted.then_some(PolicyEvent::SecondFactorWaived { role }))
            }
        }
    }
}

/// Whether `wanted` is not there yet; something else in its place is refused.
fn is_new<T: PartialEq>(held: Option<&T>, wanted: &T) -> Result<bool, PolicyRejection> {
    match held {
        None => Ok(true),
        Some(held) if held == wanted => Ok(false),
        Some(_) => Err(PolicyRejection::AlreadyExists),
    }
}

fn check_rule(rule: &Rule) -> Result<(), PolicyRejection> {
    if !(1..=MAX_ROLES).contains(&rule.roles.len()) {
        return Err(PolicyRejection::SelectorsOutOfRange);
    }
    check_methods(&rule.methods)?;
    if rule.note.chars().count() > MAX_NOTE_CHARS || rule.note.chars().any(char::is_control) {
        return Err(PolicyRejection::BadNote);
    }
    check_pattern(&rule.path)
}

fn check_methods(methods: &[MethodSelector]) -> Result<(), PolicyRejection> {
    if (1..=MAX_METHODS).contains(&methods.len()) {
        Ok(())
    } else {
        Err(PolicyRejection::SelectorsOutOfRange)
    }
}

fn check_pattern(path: &str) -> Result<(), PolicyRejection> {
    pattern::check(path).map_err(|reason| PolicyRejection::BadPattern { reason })?;
    if overlaps(path, [&PathShape::any()]).iter().any(|overlap| overlap.some) {
        return Ok(());
    }
    let reason = "it matches no canonical path: one begins with '/', has no '/' at its end and only \
                  letters, digits, '.', '_', '~' and '-' between; see the path of a route";
    Err(PolicyRejection::BadPattern { reason: reason.to_owned() })
}

fn check_room(held: usize, most: usize, full: PolicyRejection) -> Result<(), PolicyRejection> {
    if held < most { Ok(()) } else { Err(full) }
}

fn check_network(network: &IpNet) -> Result<(), PolicyRejection> {
    let least = match network {
        IpNet::V4(_) => MIN_PREFIX_V4,
        IpNet::V6(_) => MIN_PREFIX_V6,
    };
    if network.prefix_len() >= least { Ok(()) } else { Err(PolicyRejection::NetworkTooWide) }
}
