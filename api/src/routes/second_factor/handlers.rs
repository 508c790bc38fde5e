use super::body::{ConfirmBody, SecondFactorBody};
use crate::application::{App, second_factor};
use crate::guard::{ClientAddress, FreshPerson, Person};
use crate::http::{Body, Command, Json, MAX_SIGN_IN_BYTES, Position, Problem, done};
use crate::routes::NoParams;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Gives out a second factor, which counts when it is confirmed. Each call gives out another one, also under the
/// same key: what is shown once cannot be repeated.
#[utoipa::path(post, path = "/api/v1/me/second-factor", tag = "me", responses((status = 201, body = SecondFactorBody)))]
pub(super) async fn offer(
    State(app): State<Arc<App>>,
    person: Person,
    _: FreshPerson,
    command: Command,
    body: Body<NoParams, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let offered = second_factor::offer(&app, &call, person.holder.user_id).await?;
    let second_factor::Offered { secret, uri, recovery_codes, executed } = offered;
    let body = SecondFactorBody { secret, uri, recovery_codes };
    Ok((StatusCode::CREATED, Position(executed.position), Json(body)).into_response())
}

/// Takes the second factor in use: from now on it is asked for at sign-in.
#[utoipa::path(post, path = "/api/v1/me/second-factor/confirm", tag = "me", responses((status = 204)))]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    person: Person,
    ClientAddress(from): ClientAddress,
    command: Command,
    body: Body<ConfirmBody, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let code = &body.value.code;
    let executed = second_factor::confirm(&app, &call, &person.holder, code, from).await?;
    Ok(done(&executed))
}

/// Asks for no second factor any more; that there is none is fine.
#[utoipa::path(delete, path = "/api/v1/me/second-factor", tag = "me", responses((status = 204)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    person: Person,
    _: FreshPerson,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = second_factor::remove(&app, &call, person.holder.user_id).await?;
    Ok(done(&executed))
}
