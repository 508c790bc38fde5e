//! What staff does with accounts, with the one rule that nobody gets past: an administrator stays who can
//! repair the shop.

use super::{App, Call, Failure, administrators};
use crate::access::POLICY_ID;
use commands::bus::{ExecuteError, Executed};
use commands::vault::VaultError;
use domain::policy::{Policy, RoleSelector};
use domain::user::{BanReason, User, UserCommand};
use domain::{Reason, Rejection, RejectionKind, RoleName, Sealed, Timestamp, UserId};

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

/// Bans a user, for words that are sealed with their key. The ban that there is already, for the same words
/// and as long, is left as it is.
///
/// # Errors
/// As of [`change`]; [`Failure::NotFound`] also for somebody who was erased and has no key.
pub async fn ban(
    app: &App,
    call: &Call,
    user_id: UserId,
    reason: &Reason,
    until: Option<Timestamp>,
) -> Result<Executed, Failure> {
    match sealed_reason(app, user_id, reason).await {
        Ok(reason) => change(app, call, user_id, UserCommand::Ban { reason, until }).await,
        Err(Failure::Vault(VaultError::NoKey)) => {
            app.refuse(call.keyed(call.plan().look::<User>(&user_id)), Failure::NotFound).await
        }
        Err(failure) => Err(failure),
    }
}

/// Of the ban that there is, where it has these words: what is sealed twice looks like something else.
async fn sealed_reason(
    app: &App,
    user_id: UserId,
    reason: &Reason,
) -> Result<Sealed<Reason>, Failure> {
    let held = app.bus.load::<User>(&user_id).await?.state.ban.map(|ban| ban.reason);
    if let Some(BanReason::Sealed(held)) = held
        && app.vault.open(user_id, &held).await?.as_ref() == Some(reason)
    {
        return Ok(held);
    }
    Ok(app.vault.seal(user_id, reason).await?)
}

/// Why somebody is banned, in words, for staff. None once they are erased, also where the words of a ban of
/// before were stored in the clear.
///
/// # Errors
/// [`Failure::Vault`].
pub async fn reason_of_ban(
    app: &App,
    user_id: UserId,
    reason: BanReason,
) -> Result<Option<Reason>, Failure> {
    match reason {
        BanReason::Sealed(sealed) => Ok(app.vault.open(user_id, &sealed).await?),
        BanReason::Clear(reason) => Ok(app.vault.knows(user_id).await?.then_some(reason)),
    }
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
