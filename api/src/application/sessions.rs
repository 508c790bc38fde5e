//! Sessions: where somebody is signed in, and how that ends.

use super::accounts::created_at;
use super::{App, Call, Failure};
use commands::bus::{Executed, Loaded, Plan};
use domain::session::{Session, SessionCommand, SessionEnd, SessionRejection};
use domain::user::{User, UserCommand};
use domain::{Device, Position, SessionId, Timestamp, UserId};
use projections::sessions::SessionView;
use projections::{Limit, Page};

/// How long a session lasts that is not refreshed.
const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// How long one lasts that is: after a quarter of a year everybody proves again who they are.
const LAST_SECONDS: i64 = 90 * 24 * 60 * 60;

/// Who holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub user_id: UserId,
    /// Which.
    pub session_id: SessionId,
}

/// Somebody who is signed in.
pub struct SignedIn {
    /// Who.
    pub user_id: UserId,
    /// Their account.
    pub user: Loaded<User>,
    /// When they signed up.
    pub created_at: Timestamp,
    /// For their requests.
    pub access_token: String,
    /// For the next access token.
    pub refresh_token: String,
    /// Where the session's last event is.
    pub position: Position,
    /// Whether this had been done before, under the same key.
    pub replayed: bool,
}

/// A session, for whom it belongs to.
pub struct ShownSession {
    /// The session.
    pub view: SessionView,
    /// What they signed in with, if it is known.
    pub device: Option<Device>,
}

/// Starts a session for somebody who was just found to be who they say.
pub(super) async fn start(
    app: &App,
    call: &Call,
    user_id: UserId,
    user: Loaded<User>,
    created_at: Timestamp,
    device: Device,
) -> Result<SignedIn, Failure> {
    start_with(app, call, (user_id, user, created_at), device, None).await
}

/// The same; `proof` was taken from the user's second factor and is spent with it.
pub(super) async fn start_with(
    app: &App,
    call: &Call,
    (user_id, user, created_at): (UserId, Loaded<User>, Timestamp),
    device: Device,
    proof: Option<UserCommand>,
) -> Result<SignedIn, Failure> {
    let device = app.vault.seal(user_id, &device).await?;
    let now = (app.world.now)();
    let start = SessionCommand::Start {
        user_id,
        expires_at: now.plus_seconds(SESSION_SECONDS),
        ends_at: now.plus_seconds(LAST_SECONDS),
        epoch: user.state.session_epoch,
        second_factor: proof.is_some(),
        device: Some(device),
    };
    let begin = |session_id, key| {
        let plan = call.plan().step::<Session>(&session_id, start.clone());
        let with_proof = proof.clone().into_iter();
        with_proof.fold(plan, |plan, proof| plan.step::<User>(&user_id, proof)).keyed(key)
    };
    let mut session_id = call.new_id("session", app.world);
    let mut started = app.bus.execute(begin(session_id, call.step_key("session"))).await?;
    let first = started.state::<Session>(0);
    let is_over =
        |session: &Session| !session.is_live(now) || session.epoch != user.state.session_epoch;
    if started.replayed {
        // What was recorded may have ended since; nobody is given tokens that are dead.
        let current = app.bus.load::<Session>(&session_id).await?.state;
        if is_over(first) || is_over(&current) {
            session_id = (app.world.new_id)().into();
            started = app.bus.execute(begin(session_id, None)).await?;
        }
    }
    // The proof that was spent has changed the user.
    let user = if proof.is_some() { started.loaded::<User>(1) } else { user };
    tokens(app, (user_id, user, created_at), session_id, &started)
}

/// Exchanges a refresh token for a fresh pair; the old one is spent.
///
/// # Errors
/// [`Failure::Unauthenticated`], [`Failure::Banned`]; `refresh_reused` for a token that was spent, which
/// ends its session.
pub async fn refresh(app: &App, call: &Call, token: &str) -> Result<SignedIn, Failure> {
    const INVALID: Failure = Failure::Unauthenticated("The refresh token is not valid.");
    let (session_id, [generation]) = app.refresh_tokens.verify(token).ok_or(INVALID)?;
    let session_id: SessionId = session_id.into();
    let call = &call.clone().of(&session_id.to_string());
    // Who may not come in is told so before the exchange: a refusal must not spend the token.
    let session = app.bus.load::<Session>(&session_id).await?.state;
    let user_id = session.user_id.ok_or(INVALID)?;
    let user = app.bus.load::<User>(&user_id).await?;
    if !user.state.exists() {
        return Err(Failure::Unauthenticated("The account is gone."));
    }
    if user.state.is_banned((app.world.now)()) {
        return Err(Failure::Banned);
    }
    if session.epoch != user.state.session_epoch {
        return Err(Failure::Unauthenticated("The session has ended. Sign in again."));
    }
    let expires_at = (app.world.now)().plus_seconds(SESSION_SECONDS);
    let exchange = SessionCommand::Refresh { generation, expires_at };
    let plan = || call.plan().step::<Session>(&session_id, exchange.clone());
    let mut refreshed = app.bus.execute(call.keyed(plan())).await?;
    if refreshed.replayed {
        let given = refreshed.state::<Session>(0).generation;
        let now = app.bus.load::<Session>(&session_id).await?.state;
        if now.generation >= given && !now.live.contains(&given) {
            // Whoever got that answer has used it: this is no repetition of theirs, but a token that was spent.
            refreshed = app.bus.execute(plan()).await?;
        }
    }
    if refreshed.replayed && !session.is_live((app.world.now)()) {
        // Nobody is given tokens that are dead.
        return Err(Failure::Unauthenticated("The session has ended. Sign in again."));
    }
    if refreshed.state::<Session>(0).revoked.is_some() {
        // Somebody has a copy of a spent token; the exchange has ended the session.
        return Err(Failure::refused(SessionRejection::RefreshReused));
    }
    let created_at = created_at(app, user_id).await?;
    tokens(app, (user_id, user, created_at), session_id, &refreshed)
}

/// Whose refresh token it is, if it is one of ours, spent or not.
pub async fn holder_of(app: &App, token: &str) -> Option<UserId> {
    let (session_id, _) = app.refresh_tokens.verify(token)?;
    let session_id: SessionId = session_id.into();
    app.bus.load::<Session>(&session_id).await.ok()?.state.user_id
}

/// The sessions of a user that go on, newest first.
///
/// # Errors
/// [`Failure`].
pub async fn list(
    app: &App,
    user_id: UserId,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<ShownSession>, Failure> {
    let epoch = app.bus.load::<User>(&user_id).await?.state.session_epoch;
    let now = (app.world.now)();
    let page = projections::sessions::list(&app.pool, user_id, epoch, now, cursor, limit).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for view in page.items {
        let device = app.vault.open_optional(user_id, view.device.as_ref()).await?;
        items.push(ShownSession { view, device });
    }
    Ok(Page { items, next_cursor: page.next_cursor })
}

/// Ends the session that somebody signs out of.
///
/// # Errors
/// [`Failure::Unauthenticated`] when it was ended before, unless under the same key.
pub async fn sign_out(app: &App, call: &Call, session_id: SessionId) -> Result<Executed, Failure> {
    if app.bus.load::<Session>(&session_id).await?.state.revoked.is_some() {
        let plan = call.keyed(call.plan().look::<Session>(&session_id));
        let over = Failure::Unauthenticated("The session has ended. Sign in again.");
        return app.refuse(plan, over).await;
    }
    revoke(app, call, session_id, SessionEnd::SignedOut).await
}

/// Ends another session of the same user.
///
/// # Errors
/// [`Failure::NotFound`] when it is none of theirs.
pub async fn end(
    app: &App,
    call: &Call,
    user_id: UserId,
    session_id: SessionId,
) -> Result<Executed, Failure> {
    let session = app.bus.load::<Session>(&session_id).await?.state;
    if session.user_id != Some(user_id) {
        return Err(Failure::NotFound);
    }
    revoke(app, call, session_id, SessionEnd::Revoked).await
}

async fn revoke(
    app: &App,
    call: &Call,
    session_id: SessionId,
    reason: SessionEnd,
) -> Result<Executed, Failure> {
    let plan = call.plan().step::<Session>(&session_id, SessionCommand::Revoke { reason });
    let executed = app.bus.execute(call.keyed(plan)).await?;
    // Not even this process's own cache may let the next request in.
    app.access.note_session_change(session_id, executed.version(0)).await;
    Ok(executed)
}

/// Carries out a plan whose first step is about the holder's session and whose second, if there is one, is
/// about their account; both are in force in this process before this returns.
pub(super) async fn execute_for(
    app: &App,
    holder: &Holder,
    plan: Plan,
    steps: usize,
) -> Result<Executed, Failure> {
    let executed = app.bus.execute(plan).await?;
    app.access.note_session_change(holder.session_id, executed.version(0)).await;
    if steps > 1 {
        app.access.note_user_change(holder.user_id, executed.version(1)).await;
    }
    Ok(executed)
}

fn tokens(
    app: &App,
    (user_id, user, created_at): (UserId, Loaded<User>, Timestamp),
    session_id: SessionId,
    session: &Executed,
) -> Result<SignedIn, Failure> {
    let access_token = app
        .access_tokens
        .issue(user_id, session_id, (app.world.now)(), (app.world.new_id)())
        .map_err(Failure::internal)?;
    let generation = session.state::<Session>(0).generation;
    Ok(SignedIn {
        user_id,
        user,
        created_at,
        access_token,
        refresh_token: app.refresh_tokens.issue(session_id.uuid(), [generation]),
        position: session.position,
        replayed: session.replayed,
    })
}
