//! Changing who may do what.

use super::users::check_until;
use super::{App, Call, Failure};
use crate::access::POLICY_ID;
use commands::bus::{ExecuteError, Executed, Plan};
use domain::policy::{CompiledPolicy, Policy, PolicyCommand, Rule};
use domain::{Position, RuleId};
use projections::{QueryError, permissions};

/// How often a change is planned anew because another rule was changed at the same time.
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
/// What the policy refuses; `until` for a ban that is over before it begins.
pub async fn change(app: &App, call: &Call, command: PolicyCommand) -> Result<Executed, Failure> {
    let over = match &command {
        PolicyCommand::BanAddress { until, .. } => check_until(app, *until).err(),
        _ => None,
    };
    let plan = call.keyed(step(call.plan(), command, None));
    match over {
        None => Ok(carry_out(app, plan).await?),
        Some(over) => app.refuse(plan, over).await,
    }
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
        let change = PolicyCommand::ChangeRule { rule_id, rule: rule.clone() };
        let plan = step(call.plan(), change, based_on);
        outcome = carry_out(app, call.keyed(plan)).await;
        // Refused for its version although the rule is at the right one: another rule was changed
        // since we looked.
        let overtaken = matches!(&outcome, Err(ExecuteError::Rejected(rejections))
            if rejections.iter().any(|rejection| rejection.code() == "version_conflict"));
        if !overtaken || based_on == Some(NEVER) {
            break;
        }
        outcome = Err(ExecuteError::Contended);
    }
    Ok(outcome?)
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

fn step(plan: Plan, command: PolicyCommand, version: Option<u64>) -> Plan {
    plan.step_at::<Policy>(POLICY_ID, command, version)
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
