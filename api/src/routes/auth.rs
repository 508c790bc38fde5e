//! Signing up, in and out.

use super::{NoParams, schema, users};
use crate::app::App;
use crate::auth::ACCESS_TOKEN_SECONDS;
use crate::guard::Member;
use crate::http::{Body, Command, Fingerprint, Json, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use commands::bus::{Executed, Loaded, Plan};
use commands::registration::{self, Registration};
use domain::session::{Session, SessionCommand, SessionEnd, SessionRejection};
use domain::user::User;
use domain::{EmailAddress, Locale, Name, RoleName, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// How long a session lasts that is not refreshed.
const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(jwks))
}

/// What to sign up with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    /// 8 to 128 characters, not a common one.
    #[schema(value_type = String, format = Password)]
    password: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// `en` or `zh`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
}

/// What to sign in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    #[schema(value_type = String, format = Password)]
    password: String,
}

/// The refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    refresh_token: String,
}

/// Tokens for a session.
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    user: users::UserBody,
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    refresh_token: String,
}

/// Makes an account with the role `customer` and signs it in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = RegisterBody,
    responses((status = 201, body = SignedIn), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn register(
    State(app): State<Arc<App>>,
    headers: http::HeaderMap,
    command: Command,
    body: Body<RegisterBody>,
) -> Result<Response, Problem> {
    let (request, key) = (body.value, command.request_key(body.fingerprint));
    let user_id = command.new_id("user", app.world);
    let registered = match app.passwords.check_strength(&request.password, "/password") {
        Ok(()) => {
            let number = app.user_numbers.next().await;
            let registration = Registration {
                user_id,
                email: request.email,
                name: request.name,
                password_hash: app.passwords.hash(request.password.clone()).await?,
                locale: request.locale.unwrap_or_else(|| preferred_locale(&headers)),
                role: RoleName::known("customer"),
                number: number.map_err(|error| Problem::unavailable(&error))?,
            };
            let context = &command.context;
            registration::register(&app.bus, &app.vault, registration, context, key).await?
        }
        Err(problem) => {
            let plan = Plan::new(&command.context).look::<User>(user_id.to_string());
            app.refuse(plan.keyed(key, serde_json::Value::Null), problem).await?
        }
    };
    if registered.replayed {
        // The fingerprint leaves the password out; whoever has another one has another request.
        let hash = password_hash(&app, user_id, registered.state(0)).await?;
        // Whoever has none any more has been erased.
        let hash = hash.ok_or_else(Problem::not_found)?;
        if !app.passwords.verify(request.password, Some(hash)).await? {
            return Err(Problem::idempotency_key_reused());
        }
    }
    let created_at = registered.recorded_at.unwrap_or_else(app.world.now);
    let session_id = command.new_id("session", app.world);
    let started = start_session(&app, user_id, session_id, &command, body.fingerprint).await?;
    let user = registered.loaded::<User>(0);
    let parts = (Position(started.position), Replayed(registered.replayed));
    let body = signed_in(&app, user_id, &user, created_at, session_id, &started).await?;
    Ok((StatusCode::CREATED, parts, Json(body)).into_response())
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginBody,
    responses((status = 200, body = SignedIn), (status = 401, body = schema::Problem), (status = 403, body = schema::Problem)))]
async fn login(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<LoginBody>,
) -> Result<Response, Problem> {
    let LoginBody { email, password } = body.value;
    let found = registration::find_by_email(&app.pool, &email)
        .await
        .map_err(|error| Problem::unavailable(&error))?;
    let user = match found {
        Some(user_id) => Some((user_id, app.bus.load::<User>(&user_id.to_string()).await?)),
        None => None,
    };
    let hash = match &user {
        Some((user_id, user)) => password_hash(&app, *user_id, &user.state).await?,
        None => None,
    };
    // Who is asking is found out every time, also of a repetition: it is no outcome of the command.
    // Without a hash this takes as long as with one: how long it takes tells nobody who is here.
    let right = app.passwords.verify(password, hash).await?;
    let (user_id, user) = user.filter(|_| right).ok_or_else(Problem::bad_credentials)?;
    if user.state.is_banned((app.world.now)()) {
        return Err(Problem::banned());
    }
    let session_id = command.new_id("session", app.world);
    let started = start_session(&app, user_id, session_id, &command, body.fingerprint).await?;
    let created_at = users::created_at(&app, user_id).await?;
    let parts = (Position(started.position), Replayed(started.replayed));
    let body = signed_in(&app, user_id, &user, created_at, session_id, &started).await?;
    Ok((parts, Json(body)).into_response())
}

/// Exchanges a refresh token for a fresh pair; the old one is spent.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshBody,
    responses((status = 200, body = SignedIn), (status = 401, body = schema::Problem), (status = 403, body = schema::Problem)))]
async fn refresh(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<RefreshBody>,
) -> Result<Response, Problem> {
    let token = &body.value.refresh_token;
    let (session_id, generation) = app
        .refresh_tokens
        .verify(token)
        .ok_or_else(|| Problem::unauthenticated("The refresh token is not valid."))?;
    // Who may not come in is told so before the exchange: a refusal must not spend the token.
    let session = app.bus.load::<Session>(&session_id.to_string()).await?.state;
    let user_id = session
        .user_id
        .ok_or_else(|| Problem::unauthenticated("The refresh token is not valid."))?;
    let user = app.bus.load::<User>(&user_id.to_string()).await?;
    if !user.state.exists() {
        return Err(Problem::unauthenticated("The account is gone."));
    }
    if user.state.is_banned((app.world.now)()) {
        return Err(Problem::banned());
    }
    let expires_at = (app.world.now)().plus_seconds(SESSION_SECONDS);
    let exchange = SessionCommand::Refresh { generation, expires_at };
    let plan = Plan::new(&command.context)
        .step::<Session>(session_id.to_string(), exchange)
        .keyed(command.request_key(body.fingerprint), serde_json::Value::Null);
    let refreshed = app.bus.execute(plan).await?;
    if refreshed.state::<Session>(0).revoked.is_some() {
        // Somebody has a copy of a spent token; the exchange has ended the session.
        let reused: &dyn domain::Rejection = &SessionRejection::RefreshReused;
        return Err(reused.into());
    }
    let created_at = users::created_at(&app, user_id).await?;
    let parts = (Position(refreshed.position), Replayed(refreshed.replayed));
    let body = signed_in(&app, user_id, &user, created_at, session_id, &refreshed).await?;
    Ok((parts, Json(body)).into_response())
}

/// Ends the session; its tokens are refused from now on.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204), (status = 401, body = schema::Problem)))]
async fn logout(
    State(app): State<Arc<App>>,
    member: Member,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let revoke = SessionCommand::Revoke { reason: SessionEnd::SignedOut };
    let plan = Plan::new(&command.context)
        .step::<Session>(member.session_id.to_string(), revoke)
        .keyed(command.request_key(body.fingerprint), serde_json::Value::Null);
    let executed = app.bus.execute(plan).await?;
    // Not even this process's own cache may let the next request in.
    app.access.note_change(member.session_id, executed.version(0)).await;
    Ok((StatusCode::NO_CONTENT, Position(executed.position), ()).into_response())
}

/// The public keys that access tokens are signed with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, description = "A JWK set (RFC 7517).", body = Object)))]
async fn jwks(State(app): State<Arc<App>>) -> Json<serde_json::Value> {
    Json(app.access_tokens.jwks().clone())
}

/// The hash of the user's password; none when it cannot be opened any more.
async fn password_hash(app: &App, user_id: Uuid, user: &User) -> Result<Option<String>, Problem> {
    match &user.password {
        Some(sealed) => Ok(app.vault.open(user_id, sealed).await?),
        None => Ok(None),
    }
}

async fn start_session(
    app: &App,
    user_id: Uuid,
    session_id: Uuid,
    command: &Command,
    fingerprint: Fingerprint,
) -> Result<Executed, Problem> {
    let expires_at = (app.world.now)().plus_seconds(SESSION_SECONDS);
    let start = SessionCommand::Start { user_id, expires_at };
    let plan = Plan::new(&command.context)
        .step::<Session>(session_id.to_string(), start)
        .keyed(command.step_key("session", fingerprint), serde_json::Value::Null);
    Ok(app.bus.execute(plan).await?)
}

async fn signed_in(
    app: &App,
    user_id: Uuid,
    user: &Loaded<User>,
    created_at: Timestamp,
    session_id: Uuid,
    session: &Executed,
) -> Result<SignedIn, Problem> {
    let now = (app.world.now)();
    let access_token = app
        .access_tokens
        .issue(user_id, session_id, now, (app.world.new_id)())
        .map_err(|error| Problem::internal(&error))?;
    let generation = session.state::<Session>(0).generation;
    Ok(SignedIn {
        user: users::from_aggregate(app, user_id, user, created_at).await?,
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_SECONDS,
        refresh_token: app.refresh_tokens.issue(session_id, generation),
    })
}

/// Of the languages that we write the one that `Accept-Language` likes best, else English.
fn preferred_locale(headers: &http::HeaderMap) -> Locale {
    let accepted = headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let ranges = accepted.into_iter().flat_map(|list| list.split(','));
    let mut spoken: Vec<(f32, Locale)> = ranges
        .filter_map(|range| {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let language = tag.trim().split('-').next()?.to_ascii_lowercase();
            let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
            // Zero means "not this one".
            (weight > 0.0).then_some((weight, Locale::parse(language).ok()?))
        })
        .collect();
    // Stable, so that of equals the one that is named first stays first.
    spoken.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let preferred = spoken.into_iter().next().map(|(_, locale)| locale);
    preferred.unwrap_or_else(|| Locale::parse("en").expect("we write English"))
}
