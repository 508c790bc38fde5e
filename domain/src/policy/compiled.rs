use super::address_bans::AddressBans;
use super::matcher::{Matcher, TooBig};
use super::roles::{EVERYBODY, RoleIds, SomeRoles};
use super::{
    Caller, CanonicalPath, Considered, Effect, Entry, Explanation, Grant, MethodSelector, Policy,
    RoleSelector, Verdict,
};
use crate::{PublicPathId, RoleName, RuleId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;

/// The policy in the form that judges requests: a request costs some hundred nanoseconds whatever the number of
/// rules, and allocates nothing.
///
/// It is a snapshot; whoever holds one replaces it when the policy changes.
#[derive(Debug)]
pub struct CompiledPolicy {
    version: u64,
    matcher: Matcher,
    role_ids: RoleIds,
    /// What stands under each pattern, for each of its roles in the order in which it counts.
    statements: Vec<Statement>,
    /// Which of them are of a pattern.
    of_pattern: Vec<Range<u32>>,
    rules: Vec<CompiledRule>,
    /// Their ids, by themselves: a decision needs nothing else of a rule.
    rule_ids: Vec<RuleId>,
    public_paths: Vec<CompiledPublicPath>,
    bans: AddressBans,
    second_factor_roles: BTreeSet<RoleName>,
}

/// That a rule or a public path is about a role and some methods, on the paths of its pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    role: u32,
    kind: Kind,
    /// Of rules or of public paths, which are in the order of their ids.
    entry: u32,
    methods: Methods,
}

/// In the order in which they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Deny,
    Public,
    Allow,
}

#[derive(Debug)]
struct CompiledRule {
    effect: Effect,
    roles: Vec<RoleSelector>,
    methods: Methods,
    pattern: usize,
}

#[derive(Debug)]
struct CompiledPublicPath {
    id: PublicPathId,
    methods: Methods,
    pattern: usize,
}

/// The patterns took too much room together. A policy that was decided rule by rule never does.
#[derive(Debug, thiserror::Error)]
#[error("the policy's patterns do not compile: {0}")]
pub struct PolicyTooBig(TooBig);

/// A set of methods: a bit for each that a rule can name, and one for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Methods(u16);

impl Methods {
    const ALL: Self = Self(u16::MAX);

    fn of(selectors: &[MethodSelector]) -> Self {
        selectors.iter().fold(Self(0), |methods, selector| match selector {
            MethodSelector::Any => Self::ALL,
            MethodSelector::Method(name) => Self(methods.0 | Self::named(name).0),
        })
    }

    fn named(method: &str) -> Self {
        Self(1 << MethodSelector::place(method))
    }

    fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl CompiledPolicy {
    /// Compiles the policy; `version` is the one that clients wait for by `Policy-Version`.
    ///
    /// # Errors
    /// [`PolicyTooBig`] never happens for a policy that decisions built: they limit the sum of its patterns.
    pub fn compile(policy: &Policy, version: u64) -> Result<Self, PolicyTooBig> {
        let mut patterns = Patterns::default();
        let rules = policy.rules.values().map(|held| CompiledRule {
            effect: held.rule.effect,
            roles: held.rule.roles.clone(),
            methods: Methods::of(&held.rule.methods),
            pattern: patterns.place(&held.rule.path),
        });
        let rules: Vec<_> = rules.collect();
        let public_paths = policy.public_paths.iter().map(|(id, entry)| CompiledPublicPath {
            id: *id,
            methods: Methods::of(&entry.methods),
            pattern: patterns.place(&entry.path),
        });
        let public_paths: Vec<_> = public_paths.collect();
        let mut compiled = Self {
            version,
            matcher: Matcher::new(&patterns.texts).map_err(PolicyTooBig)?,
            role_ids: RoleIds::default(),
            statements: vec![],
            of_pattern: vec![],
            rules,
            rule_ids: policy.rules.keys().copied().collect(),
            public_paths,
            bans: AddressBans::new(policy),
            second_factor_roles: policy.second_factor_roles.clone(),
        };
        compiled.state(patterns.texts.len());
        Ok(compiled)
    }

    /// The roles that only count for whoever has proved themselves with a second factor.
    #[must_use]
    pub fn second_factor_roles(&self) -> &BTreeSet<RoleName> {
        &self.second_factor_roles
    }

    /// Writes down what is said about each pattern. Of what is said twice only what comes first counts.
    fn state(&mut self, patterns: usize) {
        let mut stated: Vec<Vec<Statement>> = vec![vec![]; patterns];
        for (entry, rule) in (0..).zip(&self.rules) {
            let kind = match rule.effect {
                Effect::Deny => Kind::Deny,
                Effect::Allow => Kind::Allow,
            };
            for selector in &rule.roles {
                let role = self.role_ids.give(selector);
                let methods = rule.methods;
                stated[rule.pattern].push(Statement { role, kind, entry, methods });
            }
        }
        for (entry, CompiledPublicPath { methods, pattern, .. }) in (0..).zip(&self.public_paths) {
            let (role, methods) = (EVERYBODY, *methods);
            stated[*pattern].push(Statement { role, kind: Kind::Public, entry, methods });
        }
        for mut statements in stated {
            statements.sort();
            let first = self.statements.len();
            for statement in statements {
                let same = self.statements[first..]
                    .iter()
                    .filter(|known| (known.role, known.kind) == (statement.role, statement.kind));
                let known = same.fold(0, |known, same| known | same.methods.0);
                if statement.methods.0 & !known != 0 {
                    self.statements.push(statement);
                }
            }
            let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
            self.of_pattern.push(place(first)..place(self.statements.len()));
        }
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
        let method = Methods::named(method);
        let mut roles = self.role_ids.of(caller);
        let mut first = None;
        // Whoever has very many roles is asked for in turns.
        while let Some(some) = roles.next_some() {
            let matched = self.matcher.each(path.as_str(), |pattern| {
                let Range { start, end } = self.of_pattern[pattern];
                let statements = &self.statements[start as usize..end as usize];
                if let Some(found) = counting(statements, &some, method) {
                    first = Some(first.map_or(found, |first: (Kind, u32)| first.min(found)));
                }
            });
            if matched.is_err() {
                return Verdict::Denied { by: None };
            }
        }
        match first {
            None => Verdict::Denied { by: None },
            Some((Kind::Deny, rule)) => Verdict::Denied { by: Some(self.rule_ids[rule as usize]) },
            Some((Kind::Public, entry)) => {
                let id = self.public_paths[entry as usize].id;
                Verdict::Allowed { by: Grant::PublicPath(id) }
            }
            Some((Kind::Allow, rule)) => {
                Verdict::Allowed { by: Grant::Rule(self.rule_ids[rule as usize]) }
            }
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
        let mut matched = vec![false; self.of_pattern.len()];
        // What could not be matched is refused by the verdict.
        let _ = self.matcher.each(path.as_str(), |pattern| matched[pattern] = true);
        let named = Methods::named(method);
        let rules = self.rule_ids.iter().zip(&self.rules).map(|(id, rule)| Considered {
            entry: match rule.effect {
                Effect::Deny => Entry::Deny(*id),
                Effect::Allow => Entry::Allow(*id),
            },
            role_matches: rule.roles.iter().any(|selector| caller.is_meant_by(selector)),
            method_matches: rule.methods.meet(named),
            path_matches: matched[rule.pattern],
        });
        let public_paths = self.public_paths.iter().map(|entry| Considered {
            entry: Entry::PublicPath(entry.id),
            role_matches: true,
            method_matches: entry.methods.meet(named),
            path_matches: matched[entry.pattern],
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

/// What counts of the statements of one pattern, which stand by roles.
#[inline]
fn counting(statements: &[Statement], roles: &SomeRoles, method: Methods) -> Option<(Kind, u32)> {
    let mut first: Option<(Kind, u32)> = None;
    for role in roles.ids() {
        let from = statements.partition_point(|statement| statement.role < *role);
        let of_role = statements[from..].iter().take_while(|statement| statement.role == *role);
        // The first that is about the method is the one that counts.
        if let Some(found) = of_role.into_iter().find(|found| found.methods.meet(method)) {
            let found = (found.kind, found.entry);
            first = Some(first.map_or(found, |first| first.min(found)));
        }
    }
    first
}

/// The different patterns of a policy, each once.
#[derive(Default)]
struct Patterns<'a> {
    texts: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Patterns<'a> {
    fn place(&mut self, pattern: &'a str) -> usize {
        *self.places.entry(pattern).or_insert_with(|| {
            self.texts.push(pattern);
            self.texts.len() - 1
        })
    }
}
