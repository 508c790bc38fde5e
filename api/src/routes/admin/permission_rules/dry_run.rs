//! What other rules would have said about the latest requests.

use super::body::RuleRequest;
use super::handlers::checked;
use crate::access::POLICY_ID;
use crate::application::{App, Failure};
use crate::guard::RecentDecision;
use crate::http::{Body, Json, Problem};
use crate::openapi::schema::answers;
use axum::extract::State;
use cqrs_es::Aggregate;
use domain::policy::{
    Caller, CompiledPolicy, Effect, Grant, MAX_RULES, Policy, PolicyChange, PolicyCommand, Rule,
    Verdict,
};
use domain::{Facts, RoleName, RuleId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

answers!(DryRunBody);

/// The most flips that an answer lists.
const MAX_FLIPS: usize = 200;

/// How many rules are looked at before it is asked whether somebody still waits; each can take milliseconds.
const RULES_AT_ONCE: usize = 20;

/// Rules that are involved take a core for a while: never two.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// All rules as they might be; public paths and bans stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"rules": [{
    "effect": "allow", "roles": ["admin"], "methods": ["*"], "path": "/.*", "note": "A sample.",
}]}))]
pub(super) struct DryRunRequest {
    #[schemars(length(max = MAX_RULES))]
    pub(super) rules: Vec<RuleRequest>,
}

/// What would be decided otherwise.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DryRunBody {
    /// The decisions that would be others, the most frequent first; at most 200.
    pub(super) flips: Vec<FlipBody>,
    /// How many there are, each counted once.
    pub(super) flips_total: usize,
    /// How many decisions were looked at, each counted once: the latest of the process that answers.
    pub(super) decisions_total: usize,
    /// The policy that they are compared with.
    pub(super) policy_version: u64,
}

/// A decision that would be another one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FlipBody {
    /// The granted roles of who asked; `["anonymous"]` for somebody without a token.
    pub(super) roles: Vec<RoleName>,
    pub(super) method: String,
    pub(super) path: String,
    /// How often it was asked lately.
    pub(super) count: u64,
    /// What the rules in force say.
    pub(super) now: Effect,
    /// What the given rules would say.
    pub(super) then: Effect,
    /// Which of the given rules says it, from 0; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<usize>,
}

/// Says which of the latest decisions would be others under the given rules. Changes nothing.
#[utoipa::path(post, path = "/api/v1/admin/permission-rules/dry-run", tag = "permissions", responses((status = 200, body = DryRunBody)))]
pub(super) async fn dry_run(
    State(app): State<Arc<App>>,
    body: Body<DryRunRequest>,
) -> Result<Json<DryRunBody>, Problem> {
    let one = ONE_AT_A_TIME.try_acquire().map_err(|_| Problem::overloaded())?;
    let rules = body.value.rules;
    if rules.len() > MAX_RULES {
        return Err(Problem::invalid_field("/rules", format!("expected at most {MAX_RULES}")));
    }
    let rules = rules.into_iter().enumerate();
    let rules = rules.map(|(place, rule)| checked(rule, &format!("/rules/{place}")));
    let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
    let rules: Vec<(RuleId, Rule)> =
        rules.into_iter().map(|rule| ((app.world.new_id)().into(), rule)).collect();
    let (held, facts) =
        (app.bus.load::<Policy>(POLICY_ID).await?, Facts { now: (app.world.now)() });
    let (current, recent) = (app.policy.current(), app.policy.recent().counted());
    // Whoever asks has left, or does not get an answer in time: nobody computes for them.
    let nobody_waits = CancellationToken::new();
    let _waits = nobody_waits.clone().drop_guard();
    // Compiling and judging is work for whoever has the time.
    let answer = tokio::task::spawn_blocking(move || {
        let _until_done = one;
        let places =
            rules.iter().enumerate().map(|(place, (rule_id, _))| (*rule_id, place)).collect();
        let candidate = candidate(held.state, rules, &facts, &nobody_waits)?;
        let candidate = CompiledPolicy::compile(&candidate, held.sequence)
            .map_err(|error| Problem::internal(&error))?;
        compare(&current, &candidate, &places, recent, &nobody_waits)
    });
    answer.await.map_err(|error| Problem::internal(&error))?.map(Json)
}

/// The policy with these rules instead of its own, each of which it would accept.
fn candidate(
    mut policy: Policy,
    rules: Vec<(RuleId, Rule)>,
    facts: &Facts,
    nobody_waits: &CancellationToken,
) -> Result<Policy, Problem> {
    policy.rules = BTreeMap::new();
    let add = |(rule_id, rule): &(RuleId, Rule)| PolicyChange::AddRule {
        rule_id: *rule_id,
        rule: rule.clone(),
    };
    for some in rules.chunks(RULES_AT_ONCE) {
        if nobody_waits.is_cancelled() {
            return Err(Problem::overloaded());
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
) -> Result<DryRunBody, Problem> {
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
        (now.is_allowed() != then.is_allowed()).then(|| FlipBody {
            roles,
            method: method.to_string(),
            path: path.as_str().to_owned(),
            count,
            now: effect(now),
            then: effect(then),
            rule: rule_id.and_then(|rule_id| places.get(&rule_id).copied()),
        })
    });
    let mut flips: Vec<FlipBody> = flips.collect();
    if nobody_waits.is_cancelled() {
        return Err(Problem::overloaded());
    }
    flips.sort_by(|a, b| (b.count, &a.path, &a.method).cmp(&(a.count, &b.path, &b.method)));
    let flips_total = flips.len();
    flips.truncate(MAX_FLIPS);
    Ok(DryRunBody { flips, flips_total, decisions_total, policy_version: current.version() })
}

fn effect(verdict: Verdict) -> Effect {
    if verdict.is_allowed() { Effect::Allow } else { Effect::Deny }
}
