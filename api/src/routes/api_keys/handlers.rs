use super::body::{ApiKeyBody, ApiKeysBody, IssueBody};
use crate::application::{App, api_keys};
use crate::guard::{FreshPerson, Person};
use crate::http::{
    AtLeast, Body, Command, Id, Json, KeyedCommand, Params, Path, Position, Problem, Replayed, done,
};
use crate::routes::NoParams;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::ApiKeyId;
use std::sync::Arc;

/// The caller's keys.
#[utoipa::path(get, path = "/api/v1/me/api-keys", tag = "me", responses((status = 200, body = ApiKeysBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    person: Person,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<ApiKeysBody>, Problem> {
    app.journal_reached(at_least).await?;
    let keys = api_keys::list(&app, person.holder.user_id).await?;
    let items = keys.into_iter().map(ApiKeyBody::from).collect();
    Ok(Json(ApiKeysBody { items, next_cursor: None }))
}

/// Gives a key out. It is shown once: a repetition under the same key shows the rest.
#[utoipa::path(post, path = "/api/v1/me/api-keys", tag = "me", responses((status = 201, body = ApiKeyBody)))]
pub(super) async fn issue(
    State(app): State<Arc<App>>,
    person: Person,
    _: FreshPerson,
    command: KeyedCommand,
    body: Body<IssueBody>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let acting = (&*person.roles, person.second_factor);
    let (user_id, new) = (person.holder.user_id, body.value.try_into()?);
    let issued = api_keys::issue(&app, &call, user_id, acting, new).await?;
    Ok((StatusCode::CREATED, shown(issued)).into_response())
}

/// Gives a key another secret; the one of before is accepted for a day more.
#[utoipa::path(post, path = "/api/v1/me/api-keys/{id}/rotate", tag = "me", responses((status = 200, body = ApiKeyBody)))]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    person: Person,
    _: FreshPerson,
    Path(Id(key_id)): Path<Id<ApiKeyId>>,
    command: KeyedCommand,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let issued = api_keys::rotate(&app, &call, person.holder.user_id, key_id).await?;
    Ok(shown(issued).into_response())
}

/// Takes a key away; it is refused from now on.
#[utoipa::path(delete, path = "/api/v1/me/api-keys/{id}", tag = "me", responses((status = 204)))]
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    person: Person,
    Path(Id(key_id)): Path<Id<ApiKeyId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = api_keys::revoke(&app, &call, person.holder.user_id, key_id).await?;
    Ok(done(&executed))
}

fn shown(issued: api_keys::Issued) -> impl IntoResponse {
    let executed = &issued.executed;
    let parts = (Position(executed.position), Replayed(executed.replayed));
    (parts, Json(ApiKeyBody::from(issued)))
}
