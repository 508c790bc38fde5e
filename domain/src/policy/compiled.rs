use super::selectors::normalized;
use super::{CanonicalPath, Effect, MethodSelector, Policy, RoleSelector, pattern};
use crate::{PublicPathId, RoleName, RuleId, Timestamp};
use ipnet::IpNet;
use regex::bytes::{RegexSet, SetMatches};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// The policy in the form that judges requests: all patterns compiled once into two automata, so
/// that a request costs microseconds whatever the number of rules.
///
/// It is a snapshot; whoever holds one replaces it when the policy changes.
#[derive(Debug)]
pub struct CompiledPolicy {
    version: u64,
    rule_paths: RegexSet,
    rules: Vec<CompiledRule>,
    public_path_paths: RegexSet,
    public_paths: Vec<CompiledPublicPath>,
    bans: AddressBans,
}

#[derive(Debug)]
struct CompiledRule {
    id: RuleId,
    effect: Effect,
    roles: Vec<RoleSelector>,
    methods: Vec<MethodSelector>,
}

#[derive(Debug)]
struct CompiledPublicPath {
    id: PublicPathId,
    methods: Vec<MethodSelector>,
}

/// The patterns took too much room together. A policy that was decided rule by rule never does.
#[derive(Debug, thiserror::Error)]
#[error("the policy's patterns do not compile: {0}")]
pub struct PolicyTooBig(#[source] Box<regex::Error>);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Somebody without a token; has the role `anonymous` only.
    Anonymous,
    /// Somebody with a token; has the role `authenticated` and those that were granted.
    SignedIn(&'a BTreeSet<RoleName>),
}

impl<'a> Caller<'a> {
    /// The caller that a question names by roles alone: no one in particular with `anonymous`
    /// among them, else somebody who signed in.
    #[must_use]
    pub fn with_roles(roles: &'a BTreeSet<RoleName>) -> Self {
        if roles.iter().any(|role| role.as_str() == RoleName::ANONYMOUS) {
            Self::Anonymous
        } else {
            Self::SignedIn(roles)
        }
    }

    pub(super) fn is_meant_by(self, selector: &RoleSelector) -> bool {
        match (selector, self) {
            (RoleSelector::Any, _) => true,
            (RoleSelector::Role(role), Self::Anonymous) => role.as_str() == RoleName::ANONYMOUS,
            (RoleSelector::Role(role), Self::SignedIn(roles)) => {
                role.as_str() == RoleName::AUTHENTICATED || roles.contains(role)
            }
        }
    }
}

/// What the policy says about a request, and why. Of several entries that say the same, the one
/// with the lowest id is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allowed {
        /// What lets it through.
        by: Grant,
    },
    /// It may not.
    Denied {
        /// The deny rule; absent when nothing allows the request.
        by: Option<RuleId>,
    },
}

impl Verdict {
    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// What lets a request through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// An allow rule.
    Rule(RuleId),
    /// A public path.
    PublicPath(PublicPathId),
}

/// A verdict with everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// Every rule and public path, in the order in which they count: deny rules, public paths,
    /// allow rules; each by id.
    pub considered: Vec<Considered>,
}

/// One rule or public path, and what of it fits the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Considered {
    /// The rule or public path.
    pub entry: Entry,
    /// Whether the caller has one of its roles; a public path is about everybody.
    pub role_matches: bool,
    /// Whether the method is one of its methods.
    pub method_matches: bool,
    /// Whether its pattern matches the path.
    pub path_matches: bool,
}

impl Considered {
    /// Whether it is about the request.
    #[must_use]
    pub fn matches(self) -> bool {
        self.role_matches && self.method_matches && self.path_matches
    }
}

/// An entry of the policy, in the order in which they count; those of one kind by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A rule that refuses.
    Deny(RuleId),
    /// A path that needs no permission.
    PublicPath(PublicPathId),
    /// A rule that lets through.
    Allow(RuleId),
}

impl CompiledPolicy {
    /// Compiles the policy; `version` is the one that clients wait for by `Policy-Version`.
    ///
    /// # Errors
    /// [`PolicyTooBig`] never happens for a policy that decisions built: they limit each pattern.
    pub fn compile(policy: &Policy, version: u64) -> Result<Self, PolicyTooBig> {
        let too_big = |error| PolicyTooBig(Box::new(error));
        let rules = policy.rules.iter().map(|(id, held)| CompiledRule {
            id: *id,
            effect: held.rule.effect,
            roles: held.rule.roles.clone(),
            methods: held.rule.methods.clone(),
        });
        let public_paths = policy
            .public_paths
            .iter()
            .map(|(id, entry)| CompiledPublicPath { id: *id, methods: entry.methods.clone() });
        let rule_paths = policy.rules.values().map(|held| held.rule.path.as_str());
        let public_path_paths = policy.public_paths.values().map(|entry| entry.path.as_str());
        Ok(Self {
            version,
            rule_paths: pattern::compile_set(rule_paths).map_err(too_big)?,
            rules: rules.collect(),
            public_path_paths: pattern::compile_set(public_path_paths).map_err(too_big)?,
            public_paths: public_paths.collect(),
            bans: AddressBans::new(policy),
        })
    }

    /// The policy's version that this is.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Judges a request: a deny rule refuses it, else a public path or an allow rule lets it
    /// through, else it is refused.
    #[must_use]
    pub fn decide(&self, caller: Caller<'_>, method: &str, path: CanonicalPath<'_>) -> Verdict {
        let mut allowed = None;
        for index in &self.rule_paths.matches(path.as_str().as_bytes()) {
            let rule = &self.rules[index];
            if !rule.is_about(caller) || !names(&rule.methods, method) {
                continue;
            }
            match rule.effect {
                Effect::Deny => return Verdict::Denied { by: Some(rule.id) },
                Effect::Allow => allowed = allowed.or(Some(rule.id)),
            }
        }
        let public = self
            .public_path_paths
            .matches(path.as_str().as_bytes())
            .iter()
            .map(|index| &self.public_paths[index])
            .find(|entry| names(&entry.methods, method));
        match (public, allowed) {
            (Some(entry), _) => Verdict::Allowed { by: Grant::PublicPath(entry.id) },
            (None, Some(id)) => Verdict::Allowed { by: Grant::Rule(id) },
            (None, None) => Verdict::Denied { by: None },
        }
    }

    /// The same verdict with everything that was looked at.
    #[must_use]
    pub fn explain(
        &self,
        caller: Caller<'_>,
        method: &str,
        path: CanonicalPath<'_>,
    ) -> Explanation {
        let matching = |set: &RegexSet| -> SetMatches { set.matches(path.as_str().as_bytes()) };
        let rule_paths = matching(&self.rule_paths);
        let rules = self.rules.iter().enumerate().map(|(index, rule)| Considered {
            entry: match rule.effect {
                Effect::Deny => Entry::Deny(rule.id),
                Effect::Allow => Entry::Allow(rule.id),
            },
            role_matches: rule.is_about(caller),
            method_matches: names(&rule.methods, method),
            path_matches: rule_paths.matched(index),
        });
        let public_path_paths = matching(&self.public_path_paths);
        let public_paths = self.public_paths.iter().enumerate().map(|(index, entry)| Considered {
            entry: Entry::PublicPath(entry.id),
            role_matches: true,
            method_matches: names(&entry.methods, method),
            path_matches: public_path_paths.matched(index),
        });
        let mut considered: Vec<_> = rules.chain(public_paths).collect();
        considered.sort_by_key(|considered| considered.entry);
        Explanation { verdict: self.decide(caller, method, path), considered }
    }

    /// Whether nobody may do anything from `address` at `now`.
    #[must_use]
    pub fn is_address_banned(&self, address: IpAddr, now: Timestamp) -> bool {
        self.bans.is_banned(address, now)
    }
}

impl CompiledRule {
    fn is_about(&self, caller: Caller<'_>) -> bool {
        self.roles.iter().any(|selector| caller.is_meant_by(selector))
    }
}

fn names(methods: &[MethodSelector], method: &str) -> bool {
    methods.iter().any(|selector| selector.matches(method))
}

/// Banned networks by their bits: an address is looked up once for every length of prefix that
/// occurs, not once for every ban.
#[derive(Debug, Default)]
struct AddressBans {
    /// Until when each network is banned; for ever if absent.
    networks: HashMap<IpNet, Option<Timestamp>>,
    /// The prefix lengths that occur.
    prefix_lengths: BTreeSet<u8>,
}

impl AddressBans {
    fn new(policy: &Policy) -> Self {
        let mut bans = Self::default();
        for ban in policy.bans.values() {
            let network = normalized(ban.cidr);
            bans.prefix_lengths.insert(network.prefix_len());
            // Of two bans of the same network the one that lasts longer counts.
            bans.networks
                .entry(network)
                .and_modify(|until| *until = until.zip(ban.until).map(|(a, b)| a.max(b)))
                .or_insert(ban.until);
        }
        bans
    }

    fn is_banned(&self, address: IpAddr, now: Timestamp) -> bool {
        let address = address.to_canonical();
        self.prefix_lengths
            .iter()
            // A prefix that is longer than the address is an error here, and none of its own.
            .filter_map(|length| IpNet::new(address, *length).ok())
            .filter_map(|network| self.networks.get(&network.trunc()))
            .any(|until| until.is_none_or(|until| now < until))
    }
}
