//! What other rules would have said about the latest requests.

use super::{App, Failure};
use crate::access::POLICY_ID;
use crate::guard::RecentDecision;
use cqrs_es::Aggregate;
use domain::policy::{
    Caller, CompiledPolicy, Effect, Grant, Policy, PolicyChange, PolicyCommand, Rule, Verdict,
};
use domain::{Facts, RoleName, RuleId};
use std::collections::{BTreeMap, HashMap};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The most flips that are listed.
const MAX_FLIPS: usize = 200;

/// How many rules are looked at before it is asked whether somebody still waits; each can take milliseconds.
const RULES_AT_ONCE: usize = 20;

/// Rules that are involved take a core for a while: never two.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// What would be decided otherwise.
pub struct DryRun {
    /// The most frequent first; at most 200.
    pub flips: Vec<Flip>,
    /// How many there are, each counted once.
    pub flips_total: usize,
    /// How many decisions were looked at, each counted once: the latest of this process.
    pub decisions_total: usize,
    /// The version of the policy that they are compared with.
    pub policy_version: u64,
}

/// A decision that would be another one.
pub struct Flip {
    /// The granted roles of who asked; `anonymous` alone for somebody without a token.
    pub roles: Vec<RoleName>,
    /// What they asked for.
    pub method: String,
    /// Of which path.
    pub path: String,
    /// How often it was asked lately.
    pub count: u64,
    /// What the rules in force say.
    pub now: Effect,
    /// What the given rules would say.
    pub then: Effect,
    /// Which of the given rules says it, from 0; none when none does.
    pub rule: Option<usize>,
}

/// Says which of the latest decisions would be others, were these all the rules. Changes nothing.
///
/// # Errors
/// What the policy would refuse of them; [`Failure::Overloaded`] while another one is compared, and when
/// nobody waits any more.
pub async fn dry_run(app: &App, rules: Vec<Rule>) -> Result<DryRun, Failure> {
    let one = ONE_AT_A_TIME.try_acquire().map_err(|_| Failure::Overloaded)?;
    let rules: Vec<(RuleId, Rule)> =
        rules.into_iter().map(|rule| ((app.world.new_id)().into(), rule)).collect();
    let (held, facts) =
        (app.bus.load::<Policy>(POLICY_ID).await?, Facts { now: (app.world.now)() });
    let (current, recent) = (app.policy.current(), app.policy.recent().counted());
    // Whoever asks has left, or does not get an answer in time: nobody computes for them.
    let nobody_waits = CancellationToken::new();
    let _waits = nobody_waits.clone().drop_guard();
    // Compiling and judging is work for whoever has the time.
    let compared = tokio::task::spawn_blocking(move || {
        let _until_done = one;
        let places =
            rules.iter().enumerate().map(|(place, (rule_id, _))| (*rule_id, place)).collect();
        let candidate = candidate(held.state, rules, &facts, &nobody_waits)?;
        let candidate =
            CompiledPolicy::compile(&candidate, held.sequence).map_err(Failure::internal)?;
        compare(&current, &candidate, &places, recent, &nobody_waits)
    });
    compared.await.map_err(Failure::internal)?
}

/// The policy with these rules instead of its own, each of which it would accept.
fn candidate(
    mut policy: Policy,
    rules: Vec<(RuleId, Rule)>,
    facts: &Facts,
    nobody_waits: &CancellationToken,
) -> Result<Policy, Failure> {
    policy.rules = BTreeMap::new();
    let add = |(rule_id, rule): &(RuleId, Rule)| PolicyChange::AddRule {
        rule_id: *rule_id,
        rule: rule.clone(),
    };
    for some in rules.chunks(RULES_AT_ONCE) {
        if nobody_waits.is_cancelled() {
            return Err(Failure::Overloaded);
        }
        let changes = some.iter().map(add).collect();
        let events = policy.decide(PolicyCommand { changes, way_back: None }, facts);
        events.map_err(Failure::refused)?.into_iter().for_each(|event| policy.apply(event));
    }
    Ok(policy)
}

fn compare(
    current: &CompiledPolicy,
    candidate: &CompiledPolicy,
    places: &HashMap<RuleId, usize>,
    recent: HashMap<RecentDecision, u64>,
    nobody_waits: &CancellationToken,
) -> Result<DryRun, Failure> {
    let decisions_total = recent.len();
    let waiting = recent.into_iter().take_while(|_| !nobody_waits.is_cancelled());
    let flips = waiting.filter_map(|(RecentDecision { roles, method, path }, count)| {
        let caller = roles.as_deref().map_or(Caller::Anonymous, Caller::SignedIn);
        let now = current.decide(caller, method.as_str(), path.canonical());
        let then = candidate.decide(caller, method.as_str(), path.canonical());
        let rule_id = match then {
            Verdict::Denied { by } => by,
            Verdict::Allowed { by: Grant::Rule(rule_id) } => Some(rule_id),
            Verdict::Allowed { by: Grant::PublicPath(_) } => None,
        };
        let roles = roles.as_deref().map_or_else(
            || vec![RoleName::known(RoleName::ANONYMOUS)],
            |roles| roles.iter().cloned().collect(),
        );
        (now.is_allowed() != then.is_allowed()).then(|| Flip {
            roles,
            method: method.to_string(),
            path: path.as_str().to_owned(),
            count,
            now: effect(now),
            then: effect(then),
            rule: rule_id.and_then(|rule_id| places.get(&rule_id).copied()),
        })
    });
    let mut flips: Vec<Flip> = flips.collect();
    if nobody_waits.is_cancelled() {
        return Err(Failure::Overloaded);
    }
    flips.sort_by(|a, b| (b.count, &a.path, &a.method).cmp(&(a.count, &b.path, &b.method)));
    let flips_total = flips.len();
    flips.truncate(MAX_FLIPS);
    Ok(DryRun { flips, flips_total, decisions_total, policy_version: current.version() })
}

fn effect(verdict: Verdict) -> Effect {
    if verdict.is_allowed() { Effect::Allow } else { Effect::Deny }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::policy::{MethodSelector, RoleSelector};
    use uuid::Uuid;

    #[test]
    fn nothing_is_computed_for_whoever_has_left() {
        let now = Timestamp::EPOCH;
        let rule = |number: u128| Rule {
            effect: Effect::Allow,
            roles: vec![RoleSelector::Any],
            methods: vec![MethodSelector::Any],
            path: format!("/tea/{number}"),
            note: String::new(),
        };
        let rules: Vec<_> =
            (1..=100).map(|number| (RuleId::from(Uuid::from_u128(number)), rule(number))).collect();
        let asked = RecentDecision::of_a_stranger("/tea/7");
        let run = |nobody_waits: &CancellationToken| {
            let judged = candidate(Policy::default(), rules.clone(), &Facts { now }, nobody_waits);
            let current = CompiledPolicy::compile(&Policy::default(), 1).expect("it is small");
            let compared = |policy: &Policy| {
                let candidate = CompiledPolicy::compile(policy, 1).expect("it is small");
                let recent = HashMap::from([(asked.clone(), 3)]);
                compare(&current, &candidate, &HashMap::new(), recent, nobody_waits)
            };
            (judged.is_ok(), compared(&judged.unwrap_or_default()).map(|run| run.flips_total).ok())
        };
        assert_eq!(run(&CancellationToken::new()), (true, Some(1)));
        let left = CancellationToken::new();
        left.cancel();
        assert_eq!(run(&left), (false, None));
    }
}
