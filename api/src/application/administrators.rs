//! Who administers the shop: whoever changes the rules, or the administrators, leaves one of them a way
//! back.
//!
//! The policy knows no users and users know no policy, so each change brings along what it was decided
//! on of the other and expects that it still is so when it is appended: a change of the rules the
//! administrators whom it was checked against, a change of an administrator the rules and the other
//! administrator who stays. Two such changes at the same time therefore cannot take from each other
//! what they rely on.

use super::{App, Call, Failure};
use crate::access::POLICY_ID;
use commands::bus::Plan;
use cqrs_es::Aggregate;
use domain::policy::{Policy, WayBack, lets_repair};
use domain::user::{User, UserCommand};
use domain::{Facts, RoleName, Timestamp, UserId};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The role whose holders repair the shop.
const ADMIN: &str = "admin";

/// How many kinds of administrators, by all the roles that they have, are looked at: the simplest first.
const MAX_KINDS: u16 = 50;

/// The administrators whom a change of the policy is checked against.
pub(super) struct Administrators {
    way_back: WayBack,
    /// Each of them as they were then.
    seen: Vec<(UserId, Option<Uuid>)>,
}

impl Administrators {
    /// What a change must leave as it is.
    pub(super) fn way_back(&self) -> WayBack {
        self.way_back.clone()
    }

    /// The plan, which fails when one of them has changed meanwhile.
    pub(super) fn unchanged(&self, plan: Plan) -> Plan {
        let seen = self.seen.iter();
        seen.fold(plan, |plan, (user_id, head)| plan.unchanged::<User>(user_id, *head))
    }
}

/// One administrator of each kind, whoever asks among them if they are one.
///
/// They come from the read model, which may be a moment behind, and are read again in the journal. Who
/// asks and is one is never overlooked; for anybody else the read model must have caught up.
///
/// # Errors
/// [`Failure::Behind`] when the read model has not.
pub(super) async fn of_each_kind(app: &App, call: &Call) -> Result<Administrators, Failure> {
    let now = (app.world.now)();
    let mut found = Administrators {
        way_back: WayBack { lifelines: app.lifelines.clone(), administrators: BTreeSet::new() },
        seen: vec![],
    };
    let asking = asking(call);
    if let Some(user_id) = asking {
        look_at(app, user_id, now, &mut found).await?;
    }
    if found.seen.is_empty() {
        let head = app.reader.head().await?;
        app.caught_up(projections::users::NAME, head).await?;
    }
    let role = RoleName::known(ADMIN);
    let others =
        projections::users::one_of_each_kind(&app.pool, &role, asking, now, MAX_KINDS).await?;
    for (user_id, roles) in others {
        // Who has just changed may have been the one who was found of their kind; it stays protected.
        found.way_back.administrators.insert(roles);
        look_at(app, user_id, now, &mut found).await?;
    }
    Ok(found)
}

async fn look_at(
    app: &App,
    user_id: UserId,
    now: Timestamp,
    found: &mut Administrators,
) -> Result<(), Failure> {
    let user = app.bus.load::<User>(&user_id).await?;
    if is_administrator(&user.state, now) {
        found.way_back.administrators.insert(user.state.roles);
        found.seen.push((user_id, user.head));
    }
    Ok(())
}

/// The user who asks, if it is one.
fn asking(call: &Call) -> Option<UserId> {
    let user_id = call.context.actor.strip_prefix("user:")?;
    Uuid::parse_str(user_id).ok().map(UserId::from)
}

/// Lets the plan, which asks `command` of a user, through if it leaves an administrator who can do as
/// much about the rules as this one could. That they can is expected of the journal.
///
/// Candidates come from the read model, which may be a moment behind: an administrator who was
/// appointed just now may be overlooked, which errs on the safe side.
pub(super) async fn keeping_one(
    app: &App,
    plan: Plan,
    user_id: UserId,
    command: &UserCommand,
) -> Result<Option<Plan>, Failure> {
    let now = (app.world.now)();
    let before = app.bus.load::<User>(&user_id).await?;
    if !is_administrator(&before.state, now) {
        return Ok(Some(plan));
    }
    // What is refused anyway is refused when it is decided.
    let Ok(events) = before.state.decide(command.clone(), &Facts { now }) else {
        return Ok(Some(plan));
    };
    let mut after = before.state.clone();
    events.into_iter().for_each(|event| after.apply(event));
    if is_administrator(&after, now) && after.roles == before.state.roles {
        return Ok(Some(plan));
    }
    let policy = app.bus.load::<Policy>(POLICY_ID).await?;
    let plan =
        plan.unchanged::<User>(&user_id, before.head).unchanged::<Policy>(POLICY_ID, policy.head);
    let can_repair = |roles: &BTreeSet<RoleName>| lets_repair(&policy.state, &app.lifelines, roles);
    // Where it cannot be found out, who goes could and who stays cannot: that errs on the safe side.
    let needed = can_repair(&before.state.roles) != Ok(false);
    let stays = |user: &User| {
        is_administrator(user, now) && (!needed || can_repair(&user.roles) == Ok(true))
    };
    if stays(&after) {
        return Ok(Some(plan));
    }
    let role = RoleName::known(ADMIN);
    let others =
        projections::users::one_of_each_kind(&app.pool, &role, Some(user_id), now, MAX_KINDS);
    for (candidate, _) in others.await? {
        let other = app.bus.load::<User>(&candidate).await?;
        if stays(&other.state) {
            return Ok(Some(plan.unchanged::<User>(&candidate, other.head)));
        }
    }
    Ok(None)
}

fn is_administrator(user: &User, now: Timestamp) -> bool {
    user.exists() && !user.is_banned(now) && user.roles.iter().any(|role| role.as_str() == ADMIN)
}
