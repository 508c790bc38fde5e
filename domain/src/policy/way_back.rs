//! Who must be able to undo a change, and what they need for it.

use super::shape::{Overlap, PathShape, Steps, overlaps_within};
use super::{Caller, Effect, MethodSelector, Policy, PolicyEvent};
use crate::RoleName;
use std::collections::{BTreeSet, HashMap};

/// How many steps a decision takes at most to find out whether administrators are left a way back: about a
/// second's, for a change waits for the one before it.
const MAX_STEPS: usize = 4_000_000;

/// It takes more than [`MAX_STEPS`] to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooInvolved;

/// Who sends a [`Lifeline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Somebody who has not signed in yet.
    Stranger,
    /// An administrator who has yet to prove themselves with a second factor: roles that want one do not
    /// count.
    Newcomer,
    /// An administrator.
    Administrator,
}

/// A request without which nobody can repair the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifeline {
    /// Who sends it.
    pub asking: Asking,
    /// In capitals.
    pub method: &'static str,
    /// The route; what stands in braces is an id.
    pub path: &'static str,
}

/// What a change must leave as it is.
///
/// Every lifeline that an administrator has before a change they have afterwards. So whoever can repair
/// the policy always can: by induction over its changes, because a lifeline speaks about all ids at once and
/// not about those that are there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// What repairing takes.
    pub lifelines: Vec<Lifeline>,
    /// All the roles of each administrator who exists and is not banned.
    pub administrators: BTreeSet<BTreeSet<RoleName>>,
}

/// Whether somebody with these roles can sign in and undo any change of the policy.
///
/// # Errors
/// [`TooInvolved`] when that is not found out.
pub fn lets_repair(
    policy: &Policy,
    lifelines: &[Lifeline],
    roles: &BTreeSet<RoleName>,
) -> Result<bool, TooInvolved> {
    repairs_within(policy, lifelines, roles, Steps(MAX_STEPS))
}

pub(super) fn repairs_within(
    policy: &Policy,
    lifelines: &[Lifeline],
    roles: &BTreeSet<RoleName>,
    steps: Steps,
) -> Result<bool, TooInvolved> {
    let mut lines = Lines::new(lifelines, steps);
    let lets = (0..lifelines.len()).all(|line| lines.is_open(policy, line, roles));
    lines.found(lets)
}

impl WayBack {
    /// Whether the events that lead from `before` to `after` take a lifeline away that was there. One that
    /// was not there binds nobody.
    pub(super) fn is_lost(
        &self,
        before: &Policy,
        after: &Policy,
        events: &[PolicyEvent],
    ) -> Result<bool, TooInvolved> {
        self.is_lost_within(before, after, events, Steps(MAX_STEPS))
    }

    pub(super) fn is_lost_within(
        &self,
        before: &Policy,
        after: &Policy,
        events: &[PolicyEvent],
        steps: Steps,
    ) -> Result<bool, TooInvolved> {
        let mut lines = Lines::new(&self.lifelines, steps);
        // Looking at all rules costs milliseconds; most changes are about other paths.
        let touches = |pattern| lines.overlaps(pattern).iter().any(|overlap| overlap.some);
        let asks_more = |event| matches!(event, &PolicyEvent::SecondFactorRequired { .. });
        if !events.iter().any(asks_more)
            && !events.iter().flat_map(|event| taking(before, event)).flatten().any(touches)
        {
            return lines.found(false);
        }
        let lost = self.administrators.iter().any(|roles| {
            (0..self.lifelines.len()).any(|line| {
                lines.is_open(before, line, roles) && !lines.is_open(after, line, roles)
            })
        });
        lines.found(lost)
    }
}

/// The patterns whose coming or going with the event could take something away.
fn taking<'a>(before: &'a Policy, event: &'a PolicyEvent) -> [Option<&'a str>; 2] {
    let old_rule = |rule_id| before.rules.get(rule_id).map(|held| held.rule.path.as_str());
    match event {
        PolicyEvent::RuleAdded { rule_id: _, rule } => match rule.effect {
            Effect::Deny => [Some(rule.path.as_str()), None],
            Effect::Allow => [None, None],
        },
        PolicyEvent::RuleChanged { rule_id, rule } => [Some(rule.path.as_str()), old_rule(rule_id)],
        PolicyEvent::RuleRemoved { rule_id } => [old_rule(rule_id), None],
        PolicyEvent::PublicPathRemoved { public_path_id } => {
            [before.public_paths.get(public_path_id).map(|entry| entry.path.as_str()), None]
        }
        PolicyEvent::PublicPathAdded { .. }
        | PolicyEvent::AddressBanned { .. }
        | PolicyEvent::AddressUnbanned { .. }
        | PolicyEvent::SecondFactorRequired { .. }
        | PolicyEvent::SecondFactorWaived { .. } => [None, None],
    }
}

/// The lifelines, and how much of each the patterns match that were asked about.
struct Lines<'a> {
    lifelines: &'a [Lifeline],
    shapes: Vec<PathShape>,
    known: HashMap<String, Vec<Overlap>>,
    steps: Steps,
}

impl<'a> Lines<'a> {
    fn new(lifelines: &'a [Lifeline], steps: Steps) -> Self {
        let shapes = lifelines.iter().map(|lifeline| PathShape::with_ids(lifeline.path));
        Self { lifelines, shapes: shapes.collect(), known: HashMap::new(), steps }
    }

    /// How much of each lifeline the pattern matches.
    fn overlaps(&mut self, pattern: &str) -> &[Overlap] {
        let (shapes, steps) = (&self.shapes, &mut self.steps);
        let compare = || overlaps_within(pattern, shapes, steps);
        self.known.entry(pattern.to_owned()).or_insert_with(compare)
    }

    /// What was found out, if it was.
    fn found(&self, answer: bool) -> Result<bool, TooInvolved> {
        if self.steps.are_used_up() { Err(TooInvolved) } else { Ok(answer) }
    }

    /// Whether somebody with these roles may send the request with every id that there may be: no deny
    /// rule is about any of them, and one rule or public path lets all of them through.
    ///
    /// Several rules that let all ids through only together do not count: that errs on the safe side.
    fn is_open(&mut self, policy: &Policy, line: usize, roles: &BTreeSet<RoleName>) -> bool {
        let Lifeline { asking, method, .. } = self.lifelines[line];
        let counting: BTreeSet<RoleName>;
        // What is denied to a role stays denied to whom it does not count for.
        let (allowed_as, denied_as) = match asking {
            Asking::Stranger => (Caller::Anonymous, Caller::Anonymous),
            Asking::Administrator => (Caller::SignedIn(roles), Caller::SignedIn(roles)),
            // Nothing is to be set up.
            Asking::Newcomer if roles.is_disjoint(&policy.second_factor_roles) => return true,
            Asking::Newcomer => {
                counting = roles.difference(&policy.second_factor_roles).cloned().collect();
                (Caller::SignedIn(&counting), Caller::SignedIn(roles))
            }
        };
        let names = |methods: &[MethodSelector]| methods.iter().any(|named| named.matches(method));
        let mut allowed = false;
        for held in policy.rules.values() {
            let rule = &held.rule;
            let caller = match rule.effect {
                Effect::Allow => allowed_as,
                Effect::Deny => denied_as,
            };
            let is_about = rule.roles.iter().any(|selector| caller.is_meant_by(selector));
            if !is_about || !names(&rule.methods) {
                continue;
            }
            match rule.effect {
                Effect::Deny if self.overlaps(&rule.path)[line].some => return false,
                Effect::Allow if !allowed => allowed = self.overlaps(&rule.path)[line].all,
                Effect::Deny | Effect::Allow => {}
            }
        }
        allowed
            || policy
                .public_paths
                .values()
                .any(|entry| names(&entry.methods) && self.overlaps(&entry.path)[line].all)
    }
}
