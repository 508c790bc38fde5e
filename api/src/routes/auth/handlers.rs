use super::body::{ChallengeBody, LoginBody, RefreshBody, RegisterBody, SignedIn};
use crate::application::accounts::{self, Credentials, SignUp};
use crate::application::{App, sessions};
use crate::auth::ACCESS_TOKEN_SECONDS;
use crate::guard::{ClientDevice, Person};
use crate::http::{
    Body, Command, Json, Language, MAX_SIGN_IN_BYTES, Position, Problem, Replayed, done,
};
use crate::routes::{NoParams, users};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Makes an account with the role `customer` and signs it in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", responses((status = 201, body = SignedIn)))]
pub(super) async fn register(
    State(app): State<Arc<App>>,
    Language(preferred): Language,
    ClientDevice(device): ClientDevice,
    command: Command,
    body: Body<RegisterBody, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let RegisterBody { email, password, name, locale } = body.value;
    let locale = locale.unwrap_or(preferred);
    let sign_up = SignUp { email, password, name, locale };
    let call = command.call(body.fingerprint).of(sign_up.email.as_str());
    let signed_in = accounts::register(&app, &call, sign_up, device).await?;
    Ok((StatusCode::CREATED, answer(&app, signed_in).await?).into_response())
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", responses((status = 200, body = SignedIn)))]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    ClientDevice(device): ClientDevice,
    command: Command,
    body: Body<LoginBody, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let LoginBody { email, password, code } = body.value;
    let call = command.call(body.fingerprint).of(email.as_str());
    let credentials = Credentials { email: email.clone(), password, code };
    let signed_in = accounts::sign_in(&app, &call, credentials, device).await;
    let signed_in = signed_in.map_err(|failure| Problem::from(failure).about_account(email))?;
    answer(&app, signed_in).await
}

/// Goes on signing in: the challenge stands for the password, the code is one of the second factor.
#[utoipa::path(post, path = "/api/v1/auth/second-factor", tag = "auth", responses((status = 200, body = SignedIn)))]
pub(super) async fn second_factor(
    State(app): State<Arc<App>>,
    ClientDevice(device): ClientDevice,
    command: Command,
    body: Body<ChallengeBody, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let ChallengeBody { challenge, code } = body.value;
    let signed_in = accounts::answer_challenge(&app, &call, &challenge, &code, device).await;
    let who = || accounts::challenged(&app, &challenge);
    let signed_in = signed_in.map_err(|failure| Problem::from(failure).about_user(who()))?;
    answer(&app, signed_in).await
}

/// Exchanges a refresh token for a fresh pair; the old one is spent.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", responses((status = 200, body = SignedIn)))]
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<RefreshBody, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let token = &body.value.refresh_token;
    match sessions::refresh(&app, &call, token).await {
        Ok(signed_in) => answer(&app, signed_in).await,
        Err(failure) => {
            Err(Problem::from(failure).about_user(sessions::holder_of(&app, token).await))
        }
    }
}

/// Ends the session; its tokens are refused from now on.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204)))]
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    person: Person,
    command: Command,
    body: Body<NoParams, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = sessions::sign_out(&app, &call, person.holder.session_id).await?;
    Ok(done(&executed))
}

/// The public keys that access tokens are signed with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, description = "A JWK set (RFC 7517).", body = Object)))]
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Json<serde_json::Value> {
    Json(app.access_tokens.jwks().clone())
}

async fn answer(app: &App, signed_in: sessions::SignedIn) -> Result<Response, Problem> {
    let parts = (Position(signed_in.position), Replayed(signed_in.replayed));
    let sessions::SignedIn { user_id, user, created_at, .. } = signed_in;
    let body = SignedIn {
        user: users::from_aggregate(app, user_id, &user, created_at).await?,
        access_token: signed_in.access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_SECONDS,
        refresh_token: signed_in.refresh_token,
    };
    Ok((parts, Json(body)).into_response())
}
