//! Keys that programs act for a user with.

use super::{App, Call, Failure};
use crate::auth::ApiKeySecret;
use crate::key_uses;
use commands::bus::Executed;
use domain::user::{ApiKey, ApiKeyCommand, User, UserCommand, UserRejection};
use domain::{ApiKeyId, Name, RoleName, Timestamp, UserId};
use std::collections::BTreeSet;

/// How long a key lasts when nobody says so, and at most.
const DEFAULT_SECONDS: i64 = 90 * 24 * 60 * 60;
const LONGEST_SECONDS: i64 = 366 * 24 * 60 * 60;

/// What a key is given out for.
pub struct NewApiKey {
    /// What its owner calls it.
    pub name: Name,
    /// The roles that it acts with.
    pub scopes: BTreeSet<RoleName>,
    /// Until when it is accepted; [`DEFAULT_SECONDS`] if absent.
    pub expires_at: Option<Timestamp>,
}

/// A key, for its owner.
pub struct ShownApiKey {
    /// Its id.
    pub key_id: ApiKeyId,
    /// The key.
    pub key: ApiKey,
    /// What its owner calls it; none after their erasure.
    pub name: Option<Name>,
    /// When it was last used, as far as that was written down.
    pub last_used_at: Option<Timestamp>,
}

/// A key that was given out, or has another secret.
pub struct Issued {
    /// The key.
    pub shown: ShownApiKey,
    /// The key itself: shown once, so none for a repetition.
    pub text: Option<String>,
    /// What was recorded.
    pub executed: Executed,
}

/// The keys of a user.
///
/// # Errors
/// [`Failure`].
pub async fn list(app: &App, user_id: UserId) -> Result<Vec<ShownApiKey>, Failure> {
    let user = app.bus.load::<User>(&user_id).await?.state;
    let ids: Vec<ApiKeyId> = user.api_keys.keys().copied().collect();
    let uses = key_uses::last_uses(&app.pool, &ids).await.map_err(Failure::unavailable)?;
    let mut shown = Vec::with_capacity(ids.len());
    for (key_id, key) in user.api_keys {
        let last_used_at = uses.get(&key_id).copied();
        shown.push(show(app, user_id, key_id, key, last_used_at).await?);
    }
    Ok(shown)
}

/// Gives a key out. `roles` are those that its owner acts with at the moment, proved with a second factor
/// or not.
///
/// # Errors
/// `scope_not_held`, `too_many_api_keys`; [`Failure::Invalid`] for a time that is over, or too late.
pub async fn issue(
    app: &App,
    call: &Call,
    user_id: UserId,
    (roles, second_factor): (&BTreeSet<RoleName>, bool),
    new: NewApiKey,
) -> Result<Issued, Failure> {
    let now = (app.world.now)();
    let expires_at = new.expires_at.unwrap_or_else(|| now.plus_seconds(DEFAULT_SECONDS));
    let key_id = call.new_id("api key", app.world);
    let is_in_range = now < expires_at && expires_at <= now.plus_seconds(LONGEST_SECONDS);
    let missing = new.scopes.difference(roles).next();
    let why = match missing {
        _ if !is_in_range => {
            Some(Failure::invalid("expires_at", "expected a time to come, within 366 days"))
        }
        Some(role) => Some(Failure::refused(UserRejection::ScopeNotHeld { role: role.clone() })),
        None => None,
    };
    if let Some(why) = why {
        let plan = call.keyed(call.plan().look::<User>(&user_id));
        let executed = app.refuse(plan, why).await?;
        return issued(app, user_id, key_id, None, executed).await;
    }
    let secret = ApiKeySecret::generate(user_id, key_id).map_err(Failure::internal)?;
    let issue = ApiKeyCommand::Issue {
        key_id,
        name: app.vault.seal(user_id, &new.name).await?,
        scopes: new.scopes,
        expires_at,
        second_factor,
        hash: secret.hash(),
    };
    let executed = change(app, call, user_id, issue).await?;
    issued(app, user_id, key_id, Some(secret), executed).await
}

/// Gives a key another secret; the one of before is accepted for a day more.
///
/// # Errors
/// `not_found`.
pub async fn rotate(
    app: &App,
    call: &Call,
    user_id: UserId,
    key_id: ApiKeyId,
) -> Result<Issued, Failure> {
    let secret = ApiKeySecret::generate(user_id, key_id).map_err(Failure::internal)?;
    let rotate = ApiKeyCommand::Rotate { key_id, hash: secret.hash() };
    let executed = change(app, call, user_id, rotate).await?;
    issued(app, user_id, key_id, Some(secret), executed).await
}

/// Takes a key away.
///
/// # Errors
/// `not_found`.
pub async fn revoke(
    app: &App,
    call: &Call,
    user_id: UserId,
    key_id: ApiKeyId,
) -> Result<Executed, Failure> {
    change(app, call, user_id, ApiKeyCommand::Revoke { key_id }).await
}

async fn change(
    app: &App,
    call: &Call,
    user_id: UserId,
    command: ApiKeyCommand,
) -> Result<Executed, Failure> {
    let plan = call.plan().step::<User>(&user_id, UserCommand::ApiKey(command));
    let executed = app.bus.execute(call.keyed(plan)).await?;
    app.access.note_user_change(user_id, executed.version(0)).await;
    Ok(executed)
}

async fn issued(
    app: &App,
    user_id: UserId,
    key_id: ApiKeyId,
    secret: Option<ApiKeySecret>,
    executed: Executed,
) -> Result<Issued, Failure> {
    let key = executed.state::<User>(0).api_keys.get(&key_id).cloned();
    let key = key.ok_or(Failure::NotFound)?;
    let shown = show(app, user_id, key_id, key, None).await?;
    let text = secret.filter(|_| !executed.replayed).map(|secret| secret.text());
    Ok(Issued { shown, text, executed })
}

async fn show(
    app: &App,
    user_id: UserId,
    key_id: ApiKeyId,
    key: ApiKey,
    last_used_at: Option<Timestamp>,
) -> Result<ShownApiKey, Failure> {
    let name = app.vault.open(user_id, &key.name).await?;
    Ok(ShownApiKey { key_id, key, name, last_used_at })
}
