//! What every change of the permission policy has in common.

use crate::access::POLICY_ID;
use crate::app::App;
use crate::http::{AtLeast, Etag, PolicyVersion, Position, Problem, Replayed};
use axum::response::IntoResponseParts;
use commands::bus::{ExecuteError, Executed, Plan};
use domain::policy::{CompiledPolicy, Policy, PolicyCommand};
use projections::{QueryError, permissions};

/// Adds the step to a plan, for a policy at `version` if that is given.
pub(super) fn step(plan: Plan, command: PolicyCommand, version: Option<u64>) -> Plan {
    plan.step_at::<Policy>(POLICY_ID, command, version)
}

/// Carries out a plan whose first step is the policy's. The outcome is in force in this process
/// before the answer leaves, so that whoever asked cannot get past it; the other processes follow
/// the journal.
pub(super) async fn change(app: &App, plan: Plan) -> Result<Executed, ExecuteError> {
    let executed = app.bus.execute(plan).await?;
    match CompiledPolicy::compile(executed.state::<Policy>(0), executed.version(0)) {
        Ok(policy) => app.policy.replace(policy),
        Err(error) => tracing::error!(%error, "a changed policy could not be put in force"),
    }
    Ok(executed)
}

/// Where an entry of the policy stands: its version is the policy's when it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) version: u64,
    pub(super) position: u64,
}

impl Written {
    pub(super) fn etag(self) -> Etag {
        Etag::new(self.version, self.position)
    }
}

/// Where an entry stands right after a plan: where the plan has put it, or, when there was nothing
/// to write, where `find` sees it in a read model that has caught up.
pub(super) async fn written(
    app: &App,
    executed: &Executed,
    find: impl Future<Output = Result<Option<Written>, QueryError>>,
) -> Result<Written, Problem> {
    if let Some((_, position)) = executed.positions {
        return Ok(Written { version: executed.version(0), position });
    }
    app.caught_up(permissions::NAME, AtLeast(executed.position)).await?;
    find.await?.ok_or_else(Problem::not_found)
}

/// The headers of every change.
pub(super) fn headers(executed: &Executed) -> impl IntoResponseParts + use<> {
    (Position(executed.position), PolicyVersion(executed.version(0)), Replayed(executed.replayed))
}
