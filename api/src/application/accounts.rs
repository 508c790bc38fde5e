//! Signing up, in and out.

use super::{App, Call, Failure};
use commands::bus::{Executed, Loaded};
use commands::registration::{self, Registration};
use domain::session::{Session, SessionCommand, SessionEnd, SessionRejection};
use domain::user::User;
use domain::{
    EmailAddress, Locale, Name, Position, RoleName, SessionId, StreamKey, Timestamp, UserId,
};
use std::net::IpAddr;

/// How long a session lasts that is not refreshed.
const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// What somebody signs up with.
pub struct SignUp {
    /// Where mail goes, and how they sign in.
    pub email: EmailAddress,
    /// In the clear; it is hashed here.
    pub password: String,
    /// What they want to be called.
    pub name: Option<Name>,
    /// The language that we write to them in.
    pub locale: Locale,
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

/// Makes an account with the role `customer` and signs it in, from this address.
///
/// # Errors
/// [`Failure`].
pub async fn register(
    app: &App,
    call: &Call,
    sign_up: SignUp,
    from: IpAddr,
) -> Result<SignedIn, Failure> {
    let email = sign_up.email.clone();
    let user_id = call.new_id("user", app.world);
    let name = sign_up.name.as_ref().map_or("", Name::as_str);
    let known = [sign_up.email.as_str(), name];
    let registered = match app.passwords.check_strength(&sign_up.password, &known, "password").await
    {
        Err(busy @ Failure::Overloaded) => return Err(busy),
        Ok(()) => {
            let number = app.user_numbers.next().await;
            let registration = Registration {
                user_id,
                email: sign_up.email,
                name: sign_up.name,
                password_hash: app.passwords.hash(sign_up.password.clone()).await?,
                locale: sign_up.locale,
                role: RoleName::known("customer"),
                number: number.map_err(Failure::unavailable)?,
            };
            let (context, key) = (&call.context, call.request_key());
            registration::register(&app.bus, &app.vault, registration, context, key).await?
        }
        Err(weak) => {
            let plan = call.plan().look::<User>(&user_id);
            app.refuse(call.keyed(plan), weak).await?
        }
    };
    if registered.replayed {
        // The fingerprint leaves the password out; whoever has another one has another request. The one that
        // counts is today's: a repetition lets in nobody whom a sign-in would not.
        let now = app.bus.load::<User>(&user_id).await?;
        let hash = password_hash(app, user_id, &now.state).await?;
        // Whoever has none any more has been erased.
        let hash = hash.ok_or(Failure::NotFound)?;
        if !app.passwords.verify(sign_up.password, Some(hash)).await? {
            return Err(Failure::KeyReused);
        }
    }
    let created_at = registered.recorded_at.unwrap_or_else(app.world.now);
    let session_id = call.new_id("session", app.world);
    let started = start_session(app, call, user_id, session_id).await?;
    let user = registered.loaded::<User>(0);
    let signed_in = signed_in(app, user_id, user, created_at, session_id, &started)?;
    app.brake.note_place(&email, from);
    Ok(SignedIn { replayed: registered.replayed, ..signed_in })
}

/// Signs in, from this address.
///
/// # Errors
/// [`Failure::BadCredentials`], [`Failure::TooManyAttempts`], [`Failure::Banned`].
pub async fn sign_in(
    app: &App,
    call: &Call,
    email: &EmailAddress,
    password: String,
    from: IpAddr,
) -> Result<SignedIn, Failure> {
    let attempt = app.brake.attempt(email, from)?;
    let found =
        registration::find_by_email(&app.pool, email).await.map_err(Failure::unavailable)?;
    let user = match found {
        Some(user_id) => Some((user_id, app.bus.load::<User>(&user_id).await?)),
        None => None,
    };
    let hash = match &user {
        Some((user_id, user)) => password_hash(app, *user_id, &user.state).await?,
        None => None,
    };
    // Who is asking is found out every time, also of a repetition: it is no outcome of the command.
    // Without a hash this takes as long as with one: how long it takes tells nobody who is here.
    let right = app.passwords.verify(password, hash).await?;
    let (user_id, user) = user.filter(|_| right).ok_or(Failure::BadCredentials)?;
    attempt.was_right();
    if user.state.is_banned((app.world.now)()) {
        return Err(Failure::Banned);
    }
    let session_id = call.new_id("session", app.world);
    let started = start_session(app, call, user_id, session_id).await?;
    let created_at = created_at(app, user_id).await?;
    signed_in(app, user_id, user, created_at, session_id, &started)
}

/// Exchanges a refresh token for a fresh pair; the old one is spent.
///
/// # Errors
/// [`Failure::Unauthenticated`], [`Failure::Banned`]; `refresh_reused` for a token that was spent, which
/// ends its session.
pub async fn refresh(app: &App, call: &Call, token: &str) -> Result<SignedIn, Failure> {
    const INVALID: Failure = Failure::Unauthenticated("The refresh token is not valid.");
    let (session_id, generation) = app.refresh_tokens.verify(token).ok_or(INVALID)?;
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
    let expires_at = (app.world.now)().plus_seconds(SESSION_SECONDS);
    let exchange = SessionCommand::Refresh { generation, expires_at };
    let plan = call.plan().step::<Session>(&session_id, exchange);
    let refreshed = app.bus.execute(call.keyed(plan)).await?;
    if refreshed.state::<Session>(0).revoked.is_some() {
        // Somebody has a copy of a spent token; the exchange has ended the session.
        return Err(Failure::refused(SessionRejection::RefreshReused));
    }
    let created_at = created_at(app, user_id).await?;
    signed_in(app, user_id, user, created_at, session_id, &refreshed)
}

/// Ends a session; its tokens are refused from now on.
///
/// # Errors
/// [`Failure`].
pub async fn sign_out(app: &App, call: &Call, session_id: SessionId) -> Result<Executed, Failure> {
    let revoke = SessionCommand::Revoke { reason: SessionEnd::SignedOut };
    let plan = call.plan().step::<Session>(&session_id, revoke);
    let executed = app.bus.execute(call.keyed(plan)).await?;
    // Not even this process's own cache may let the next request in.
    app.access.note_session_change(session_id, executed.version(0)).await;
    Ok(executed)
}

/// When the user registered.
///
/// # Errors
/// [`Failure::NotFound`] when they have not.
pub async fn created_at(app: &App, user_id: UserId) -> Result<Timestamp, Failure> {
    let stream = StreamKey::of::<User>(&user_id);
    let place = app.reader.place_of(&stream, 1).await?;
    place.map(|(_, at)| at).ok_or(Failure::NotFound)
}

/// The hash of the user's password; none when it cannot be opened any more.
async fn password_hash(app: &App, user_id: UserId, user: &User) -> Result<Option<String>, Failure> {
    match &user.password {
        Some(sealed) => Ok(app.vault.open(user_id, sealed).await?),
        None => Ok(None),
    }
}

async fn start_session(
    app: &App,
    call: &Call,
    user_id: UserId,
    session_id: SessionId,
) -> Result<Executed, Failure> {
    let expires_at = (app.world.now)().plus_seconds(SESSION_SECONDS);
    let start = SessionCommand::Start { user_id, expires_at };
    let plan = call.plan().step::<Session>(&session_id, start).keyed(call.step_key("session"));
    Ok(app.bus.execute(plan).await?)
}

fn signed_in(
    app: &App,
    user_id: UserId,
    user: Loaded<User>,
    created_at: Timestamp,
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
        refresh_token: app.refresh_tokens.issue(session_id, generation),
        position: session.position,
        replayed: session.replayed,
    })
}
