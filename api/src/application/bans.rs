//! Bans, of users and of addresses, as one thing: users know theirs, the policy those of addresses.

use super::policy::{self, Written};
use super::{App, Call, Failure, users};
use commands::bus::Executed;
use domain::policy::PolicyChange;
use domain::{BanId, Reason, Timestamp, UserId};
use ipnet::IpNet;
use projections::permissions::AddressBanView;
use projections::{Limit, Page, QueryError, permissions};
use std::net::IpAddr;
use uuid::Uuid;

/// What the cursors of the second part of the list begin with; those of the first never hold a dot.
const USERS_CURSOR: &str = "users.";

/// Who is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Banned {
    /// A user, wherever they come from.
    User(UserId),
    /// Whoever comes from these addresses.
    Addresses(IpNet),
}

/// Somebody shall be kept out.
#[derive(Debug, Clone)]
pub struct NewBan {
    /// Who.
    pub banned: Banned,
    /// Why.
    pub reason: Reason,
    /// Until when; for ever if absent.
    pub until: Option<Timestamp>,
    /// From where this is asked: a ban never holds this address.
    pub asked_from: IpAddr,
}

/// Somebody is kept out.
#[derive(Debug, Clone)]
pub struct Ban {
    /// Which ban; a user's has the user's id.
    pub ban_id: BanId,
    /// Who.
    pub banned: Banned,
    /// Why; none once the user is erased.
    pub reason: Option<Reason>,
    /// Until when; for ever if absent. One whose time is over stays until it is lifted.
    pub until: Option<Timestamp>,
    /// The user's version, or the policy's when the addresses were banned. Lists do not say it of users.
    pub version: Option<u64>,
}

/// What a change of the bans has come to.
pub struct Changed {
    /// What was decided.
    pub executed: Executed,
    /// The policy's version at which it is in force.
    pub policy_version: u64,
}

/// A page of all bans: first those of addresses in the order in which they were added, then those of users.
///
/// # Errors
/// [`QueryError`], and that a reason cannot be opened now.
pub async fn page(app: &App, cursor: Option<&str>, limit: Limit) -> Result<Page<Ban>, Failure> {
    let after = match cursor.and_then(|cursor| cursor.strip_prefix(USERS_CURSOR)) {
        Some("") => Some(UserId::from(Uuid::nil())),
        Some(id) => Some(id.parse().map_err(|_| QueryError::InvalidCursor)?),
        None => None,
    };
    let mut items = vec![];
    if after.is_none() {
        let page = permissions::address_bans(&app.pool, cursor, limit).await?;
        items.extend(page.items.into_iter().map(of_addresses));
        if page.next_cursor.is_some() {
            return Ok(Page { items, next_cursor: page.next_cursor });
        }
    }
    let after = after.unwrap_or(UserId::from(Uuid::nil()));
    let banned = projections::users::banned(&app.pool).await?;
    let mut banned = banned.into_iter().filter(|(user_id, _)| *user_id > after).peekable();
    let mut last = String::new();
    while items.len() < usize::from(limit.get()) {
        let Some((user_id, ban)) = banned.next() else { break };
        last = user_id.to_string();
        let reason = users::reason_of_ban(app, user_id, ban.reason).await?;
        items.push(of_user(user_id, reason, ban.until, None));
    }
    let next_cursor = banned.peek().map(|_| format!("{USERS_CURSOR}{last}"));
    Ok(Page { items, next_cursor })
}

/// One ban, and where it stands, as the read models show it.
///
/// # Errors
/// [`Failure::NotFound`].
pub async fn by_id(app: &App, ban_id: BanId) -> Result<(Ban, Written), Failure> {
    if let Some(view) = permissions::address_ban_by_id(&app.pool, ban_id).await? {
        let written = written(&view);
        return Ok((of_addresses(view), written));
    }
    let user_id = ban_id.user_id();
    let user = projections::users::by_id(&app.pool, user_id).await?.ok_or(Failure::NotFound)?;
    let ban = user.ban.ok_or(Failure::NotFound)?;
    let written = Written { version: user.version, position: user.position };
    let reason = users::reason_of_ban(app, user_id, ban.reason).await?;
    Ok((of_user(user_id, reason, ban.until, Some(written.version)), written))
}

/// Keeps somebody from doing anything; the ban as it is from now on, and where it stands.
///
/// # Errors
/// What the user or the policy refuses; `until` when it is over before it begins.
pub async fn add(app: &App, call: &Call, new: NewBan) -> Result<(Ban, Written, Changed), Failure> {
    let NewBan { banned, reason, until, asked_from } = new;
    match banned {
        Banned::User(user_id) => {
            let executed = users::ban(app, call, user_id, &reason, until).await?;
            let written = Written { version: executed.version(0), position: executed.position };
            let ban = of_user(user_id, Some(reason), until, Some(written.version));
            let policy_version = app.policy.current().version();
            Ok((ban, written, Changed { executed, policy_version }))
        }
        Banned::Addresses(cidr) => {
            let ban_id = call.new_id("ban", app.world);
            let (asked_from, why) = (Some(asked_from), reason.clone());
            let ban = PolicyChange::BanAddress { ban_id, cidr, reason: why, until, asked_from };
            let executed = policy::change(app, call, ban).await?;
            let written = policy::written(app, &executed, async {
                let view = permissions::address_ban_by_id(&app.pool, ban_id).await?;
                Ok(view.as_ref().map(self::written))
            });
            let written = written.await?;
            let (reason, version) = (Some(reason), Some(written.version));
            let ban = Ban { ban_id, banned, reason, until, version };
            let policy_version = executed.version(0);
            Ok((ban, written, Changed { executed, policy_version }))
        }
    }
}

/// Lifts a ban.
///
/// # Errors
/// [`Failure::NotFound`] when there is none.
pub async fn lift(app: &App, call: &Call, ban_id: BanId) -> Result<Changed, Failure> {
    if let Some(executed) = users::lift_ban(app, call, ban_id.user_id()).await? {
        return Ok(Changed { executed, policy_version: app.policy.current().version() });
    }
    // The policy says whether there is such a ban of addresses.
    let executed = policy::change(app, call, PolicyChange::UnbanAddress { ban_id }).await?;
    let policy_version = executed.version(0);
    Ok(Changed { executed, policy_version })
}

fn written(view: &AddressBanView) -> Written {
    Written { version: view.version, position: view.position }
}

fn of_addresses(view: AddressBanView) -> Ban {
    let AddressBanView { ban_id, cidr, reason, until, version, .. } = view;
    let (banned, reason) = (Banned::Addresses(cidr), Some(reason));
    Ban { ban_id, banned, reason, until, version: Some(version) }
}

fn of_user(
    user_id: UserId,
    reason: Option<Reason>,
    until: Option<Timestamp>,
    version: Option<u64>,
) -> Ban {
    Ban { ban_id: BanId::of(user_id), banned: Banned::User(user_id), reason, until, version }
}
