use super::body::{AskPasswordReset, ChangePassword, ResetPassword, VerifyEmail};
use crate::application::{App, credentials};
use crate::guard::{ClientAddress, ClientDevice, Person};
use crate::http::{Body, Command, MAX_SIGN_IN_BYTES, Problem, done};
use crate::routes::NoParams;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// Chooses another password. All other sessions of the caller end.
#[utoipa::path(put, path = "/api/v1/me/password", tag = "me", responses((status = 204)))]
pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    person: Person,
    ClientAddress(from): ClientAddress,
    command: Command,
    body: Body<ChangePassword, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let ChangePassword { current, new } = body.value;
    let call = command.call(body.fingerprint);
    let passwords = (current, new);
    let executed =
        credentials::change_password(&app, &call, &person.holder, passwords, from).await?;
    Ok(done(&executed))
}

/// Asks for another password: if somebody has this address, they are sent a token. It says nothing about
/// whether somebody has.
#[utoipa::path(post, path = "/api/v1/auth/password-reset", tag = "auth", responses((status = 202)))]
pub(super) async fn ask_password_reset(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<AskPasswordReset, MAX_SIGN_IN_BYTES>,
) -> Result<StatusCode, Problem> {
    let email = body.value.email;
    let call = command.call(body.fingerprint).of(email.as_str());
    credentials::ask_password_reset(&app, &call, &email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Chooses another password with the token that came by mail. All sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password-reset/confirm", tag = "auth", responses((status = 204)))]
pub(super) async fn reset_password(
    State(app): State<Arc<App>>,
    ClientDevice(device): ClientDevice,
    command: Command,
    body: Body<ResetPassword, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let ResetPassword { token, new } = body.value;
    let call = command.call(body.fingerprint);
    let executed = credentials::reset_password(&app, &call, &token, new, &device).await?;
    Ok(done(&executed))
}

/// Asks for another mail with a token that proves the caller's e-mail address; one who has proved it already, or was
/// sent one a moment ago, is sent none.
#[utoipa::path(post, path = "/api/v1/me/email-verification", tag = "me", responses((status = 204)))]
pub(super) async fn ask_verification(
    State(app): State<Arc<App>>,
    person: Person,
    command: Command,
    body: Body<NoParams, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = credentials::ask_verification(&app, &call, person.holder.user_id).await?;
    Ok(done(&executed))
}

/// Proves an e-mail address with the token that came by mail.
#[utoipa::path(post, path = "/api/v1/auth/verify-email", tag = "auth", responses((status = 204)))]
pub(super) async fn verify_email(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<VerifyEmail, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = credentials::verify_email(&app, &call, &body.value.token).await?;
    Ok(done(&executed))
}
