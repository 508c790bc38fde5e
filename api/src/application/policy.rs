//! Changing who may do what.

use super::users::{check_role, check_until};
use super::{App, Call, Failure, administrators};
use crate::access::POLICY_ID;
use commands::bus::{Context, ExecuteError, Executed, Plan};
use commands::journal::MAX_EVENTS_PER_COMMAND;
use domain::policy::{
    CompiledPolicy, Effect, Policy, PolicyChange, PolicyCommand, PublicPath, Rule,
};
use domain::{Facts, Position, PublicPathId, RuleId};
use projections::{QueryError, permissions};
use std::collections::BTreeSet;

/// How often a change is planned anew because another rule, or an administrator, was changed at the same
/// time.
const MAX_PLANS: u32 = 4;

/// A version that no policy has: a plan for it is refused, unless its key has an outcome already.
const NEVER: u64 = u64::MAX;

/// Where an entry of the policy stands: its version is the policy's when it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The policy's version.
    pub version: u64,
    /// Where the event is.
    pub position: Position,
}

/// Changes the policy, which is the outcome's first state. The outcome is in force in this process before this
/// returns, so that whoever asked cannot get past it; the other processes follow the journal.
///
/// # Errors
/// What the policy refuses; `until` for a ban that is over before it begins; `unknown_role`.
pub async fn change(app: &App, call: &Call, change: PolicyChange) -> Result<Executed, Failure> {
    if let PolicyChange::BanAddress { until, .. } = &change
        && let Err(over) = check_until(app, *until)
    {
        let look = call.keyed(call.plan().look::<Policy>(POLICY_ID));
        return app.refuse(look, over).await;
    }
    if let PolicyChange::RequireSecondFactor { role } = &change {
        let policy = app.bus.load::<Policy>(POLICY_ID).await?.state;
        if let Err(unknown) = check_role(&policy, role) {
            return app.refuse(call.keyed(call.plan().look::<Policy>(POLICY_ID)), unknown).await;
        }
    }
    let mut outcome = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        outcome = carry_out(app, plan(app, call, change.clone(), None).await?).await;
        if !matches!(outcome, Err(ExecuteError::Contended)) {
            break;
        }
    }
    Ok(outcome?)
}

/// Makes a rule say something else, if it is at one of `versions`, when those are given.
///
/// # Errors
/// `version_conflict`, and what the policy refuses.
pub async fn change_rule(
    app: &App,
    call: &Call,
    rule_id: RuleId,
    rule: &Rule,
    versions: Option<&[u64]>,
) -> Result<Executed, Failure> {
    let mut outcome = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        let based_on = policy_version(app, rule_id, versions).await?;
        let change = PolicyChange::ChangeRule { rule_id, rule: rule.clone() };
        outcome = carry_out(app, plan(app, call, change, based_on).await?).await;
        // Refused for its version although the rule is at the right one: another rule was changed
        // since we looked.
        let overtaken = matches!(&outcome, Err(ExecuteError::Rejected(rejections))
            if rejections.iter().any(|rejection| rejection.code() == "version_conflict"));
        if overtaken && based_on != Some(NEVER) {
            outcome = Err(ExecuteError::Contended);
        }
        if !matches!(outcome, Err(ExecuteError::Contended)) {
            break;
        }
    }
    Ok(outcome?)
}

/// Carries out what whoever has the database asks for: nobody must be left a way back, because this is it.
/// The running processes follow the journal.
///
/// More changes than one append takes are several.
///
/// # Errors
/// What the policy refuses.
pub async fn change_by_operator(
    app: &App,
    context: &Context,
    changes: Vec<PolicyChange>,
) -> Result<(), Failure> {
    for changes in changes.chunks(MAX_EVENTS_PER_COMMAND) {
        let command = PolicyCommand { changes: changes.to_vec(), way_back: None };
        carry_out(app, Plan::new(context).step::<Policy>(POLICY_ID, command)).await?;
    }
    Ok(())
}

/// Makes several changes at once, in one append, of the policy at `version`: refused as the edge would refuse
/// them, all or none. A `rehearsal` is judged and not carried out.
///
/// The read model of users must be kept up meanwhile by some process: it tells who the administrators are.
///
/// # Errors
/// What the policy refuses; `version_conflict` when it is not at `version` any more.
pub async fn change_together(
    app: &App,
    context: &Context,
    version: u64,
    changes: Vec<PolicyChange>,
    rehearsal: bool,
) -> Result<(), Failure> {
    let call = Call { context: context.clone(), key: None, fingerprint: [0; 32] };
    let administrators = administrators::of_each_kind(app, &call).await?;
    let command = PolicyCommand { changes, way_back: Some(administrators.way_back()) };
    if rehearsal {
        let policy = app.bus.load::<Policy>(POLICY_ID).await?;
        let facts = Facts { now: (app.world.now)() };
        return policy.state.decide(command, &facts).map(drop).map_err(Failure::refused);
    }
    let plan = call.plan().step_at::<Policy>(POLICY_ID, command, Some(version));
    carry_out(app, administrators.unchanged(plan)).await?;
    Ok(())
}

/// What makes these the policy's rules and public paths, and no others. Bans stay.
///
/// What is taken away comes first, so that there is room for the rest whatever was there; what allows
/// before what denies, so that nothing is open meanwhile that was not before. What is so already is not
/// among the changes.
#[must_use]
pub fn changes_to(
    policy: &Policy,
    rules: Vec<(RuleId, Rule)>,
    public_paths: Vec<(PublicPathId, PublicPath)>,
) -> Vec<PolicyChange> {
    let kept: BTreeSet<_> = rules.iter().map(|(rule_id, _)| *rule_id).collect();
    let gone = policy.rules.iter().filter(|(rule_id, _)| !kept.contains(rule_id));
    let (allowing, denying): (Vec<_>, Vec<_>) =
        gone.partition(|(_, held)| held.rule.effect == Effect::Allow);
    // An entry never changes: another one takes its place.
    let (kept, new): (Vec<_>, Vec<_>) = public_paths
        .into_iter()
        .partition(|(id, entry)| policy.public_paths.get(id) == Some(entry));
    let kept: BTreeSet<_> = kept.into_iter().map(|(id, _)| id).collect();
    let closed = policy.public_paths.keys().filter(|id| !kept.contains(id));
    let closed = closed.map(|id| PolicyChange::RemovePublicPath { public_path_id: *id });
    let remove = |(rule_id, _): (&RuleId, _)| PolicyChange::RemoveRule { rule_id: *rule_id };
    let write = rules.into_iter().filter_map(|(rule_id, rule)| match policy.rules.get(&rule_id) {
        None => Some(PolicyChange::AddRule { rule_id, rule }),
        Some(held) if held.rule == rule => None,
        Some(_) => Some(PolicyChange::ChangeRule { rule_id, rule }),
    });
    let open = new.into_iter().map(|(public_path_id, PublicPath { methods, path })| {
        PolicyChange::AddPublicPath { public_path_id, methods, path }
    });
    let allowing = allowing.into_iter().map(remove).chain(closed);
    allowing.chain(denying.into_iter().map(remove)).chain(write).chain(open).collect()
}

/// Where an entry stands right after a change: where the change has put it, or, when there was nothing
/// to write, where `find` sees it in a read model that has caught up.
///
/// # Errors
/// [`Failure::NotFound`] when it is not there any more.
pub async fn written(
    app: &App,
    executed: &Executed,
    find: impl Future<Output = Result<Option<Written>, QueryError>>,
) -> Result<Written, Failure> {
    if let Some((_, position)) = executed.positions {
        return Ok(Written { version: executed.version(0), position });
    }
    app.caught_up(permissions::NAME, executed.position).await?;
    find.await?.ok_or(Failure::NotFound)
}

/// The change as it is asked for at the edge: it leaves the administrators a way back.
async fn plan(
    app: &App,
    call: &Call,
    change: PolicyChange,
    version: Option<u64>,
) -> Result<Plan, Failure> {
    let administrators = administrators::of_each_kind(app, call).await?;
    let way_back = Some(administrators.way_back());
    let command = PolicyCommand { changes: vec![change], way_back };
    let plan = call.plan().step_at::<Policy>(POLICY_ID, command, version);
    Ok(call.keyed(administrators.unchanged(plan)))
}

async fn carry_out(app: &App, plan: Plan) -> Result<Executed, ExecuteError> {
    let executed = app.bus.execute(plan).await?;
    match CompiledPolicy::compile(executed.state::<Policy>(0), executed.version(0)) {
        Ok(policy) => app.policy.replace(policy),
        Err(error) => tracing::error!(%error, "a changed policy could not be put in force"),
    }
    Ok(executed)
}

/// The version of the whole policy at which the change may be made: rules have no stream of their
/// own, so that the one of the policy is expected. None when any will do.
///
/// A rule's own version is known to the read model only, which is therefore waited for.
async fn policy_version(
    app: &App,
    rule_id: RuleId,
    versions: Option<&[u64]>,
) -> Result<Option<u64>, Failure> {
    let Some(versions) = versions else { return Ok(None) };
    let head = app.reader.head().await?;
    app.caught_up(permissions::NAME, head).await?;
    let policy = permissions::load(&app.pool).await?;
    let held = policy.rules.iter().find(|held| held.rule_id == rule_id);
    // The refusal goes through the journal, too: a key that is known there wins over it.
    let stale = held.is_some_and(|held| !versions.contains(&held.version));
    Ok(Some(if stale { NEVER } else { policy.version }))
}
