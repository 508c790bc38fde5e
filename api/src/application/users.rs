//! What staff does with accounts, with the one rule that nobody gets past: an administrator stays who can
//! repair the shop.

use super::{App, Call, Failure, administrators};
use crate::access::POLICY_ID;
use commands::bus::{ExecuteError, Executed};
use domain::policy::{Policy, RoleSelector};
use domain::user::{User, UserCommand};
use domain::{Rejection, RejectionKind, RoleName, Timestamp, UserId};

/// The roles that every shop has, also one whose rules are all its own.
const BUILT_IN: [&str; 5] = ["admin", "analyst", "customer", "service", "staff"];

/// How often a plan is made anew because the other administrator, or the policy, has changed meanwhile.
const MAX_PLANS: u32 = 4;

/// Changes a user, who is the outcome's first state. It is in force in this process before this returns; the
/// other processes follow the journal.
///
/// # Errors
/// Also `last_administrator`, `unknown_role`, and `until` for a ban that is over before it begins.
pub async fn change(
    app: &App,
    call: &Call,
    user_id: UserId,
    command: UserCommand,
) -> Result<Executed, Failure> {
    let look = || call.keyed(call.plan().look::<User>(&user_id));
    if let UserCommand::Ban { until, .. } = &command
        && let Err(over) = check_until(app, *until)
    {
        return app.refuse(look(), over).await;
    }
    if let UserCommand::GrantRole { role } = &command
        // What callers have by nature is for the user to refuse.
        && !role.is_reserved()
    {
        let policy = app.bus.load::<Policy>(POLICY_ID).await?.state;
        if let Err(unknown) = check_role(&policy, role) {
            return app.refuse(look(), unknown).await;
        }
    }
    let mut outcome = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        let plan = call.plan().step::<User>(&user_id, command.clone());
        let plan = call.keyed(plan);
        outcome = match administrators::keeping_one(app, plan, user_id, &command).await? {
            Some(plan) => app.bus.execute(plan).await,
            None => {
                let last = || ExecuteError::Rejected(vec![Box::new(LastAdministrator)]);
                app.bus.refuse(look()).await.and_then(|first| first.ok_or_else(last))
            }
        };
        if !matches!(outcome, Err(ExecuteError::Contended)) {
            break;
        }
    }
    let executed = outcome?;
    app.access.note_user_change(user_id, executed.version(0)).await;
    Ok(executed)
}

/// Lifts a user's ban. None when there is no such user; who is not banned is refused.
///
/// # Errors
/// [`Failure::NotFound`] when they are not banned.
pub async fn lift_ban(
    app: &App,
    call: &Call,
    user_id: UserId,
) -> Result<Option<Executed>, Failure> {
    let user = app.bus.load::<User>(&user_id).await?.state;
    if !user.exists() {
        return Ok(None);
    }
    if user.ban.is_some() {
        return change(app, call, user_id, UserCommand::Unban).await.map(Some);
    }
    let plan = call.keyed(call.plan().look::<User>(&user_id));
    app.refuse(plan, Failure::NotFound).await.map(Some)
}

/// Refuses a role that means nothing: no shop has it, and no rule names it.
///
/// A rule that goes at the same moment may leave a role that means nothing, which is harmless.
pub(super) fn check_role(policy: &Policy, role: &RoleName) -> Result<(), Failure> {
    let mut named = policy.rules.values().flat_map(|held| &held.rule.roles);
    let is_named = !role.is_reserved()
        && (BUILT_IN.contains(&role.as_str())
            || named.any(|named| matches!(named, RoleSelector::Role(named) if named == role)));
    if is_named { Ok(()) } else { Err(Failure::refused(UnknownRole)) }
}

/// A ban that is over before it begins is a mistake.
pub(super) fn check_until(app: &App, until: Option<Timestamp>) -> Result<(), Failure> {
    if until.is_none_or(|until| (app.world.now)() < until) {
        Ok(())
    } else {
        Err(Failure::invalid("until", "expected a time to come"))
    }
}

/// No rule names the role, so it would give nothing: probably it is misspelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no rule names this role")]
struct UnknownRole;

impl Rejection for UnknownRole {
    fn code(&self) -> &'static str {
        "unknown_role"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Invalid
    }
}

/// There would be no administrator left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is the last administrator who can sign in and change the rules")]
struct LastAdministrator;

impl Rejection for LastAdministrator {
    fn code(&self) -> &'static str {
        "last_administrator"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}
