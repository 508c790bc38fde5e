use super::body::{SessionBody, StepUp};
use crate::application::{App, second_factor, sessions};
use crate::guard::{ClientAddress, Person};
use crate::http::{
    AtLeast, Body, Command, Id, Json, List, MAX_SIGN_IN_BYTES, Params, Path, Problem, done,
};
use crate::routes::NoParams;
use crate::routes::PageParams;
use axum::extract::State;
use axum::response::Response;
use domain::SessionId;
use std::sync::Arc;

/// Where the caller is signed in, newest first.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "me", responses((status = 200, body = List<SessionBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    person: Person,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<SessionBody>>, Problem> {
    app.caught_up(projections::sessions::NAME, at_least).await?;
    let (user_id, cursor) = (person.holder.user_id, params.cursor.as_deref());
    let page = sessions::list(&app, user_id, cursor, params.limit.into()).await?;
    let asking = person.holder.session_id;
    let items = page.items.into_iter().map(|shown| SessionBody::new(shown, asking)).collect();
    Ok(Json(List { items, next_cursor: page.next_cursor }))
}

/// Ends a session of the caller; its tokens are refused from now on.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "me",
    responses((status = 204)))]
pub(super) async fn end(
    State(app): State<Arc<App>>,
    person: Person,
    Path(Id(session_id)): Path<Id<SessionId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = sessions::end(&app, &call, person.holder.user_id, session_id).await?;
    Ok(done(&executed))
}

/// Proves again who the caller is: for a quarter of an hour they may do what is dear.
#[utoipa::path(post, path = "/api/v1/me/step-up", tag = "me", responses((status = 204)))]
pub(super) async fn step_up(
    State(app): State<Arc<App>>,
    person: Person,
    ClientAddress(from): ClientAddress,
    command: Command,
    body: Body<StepUp, MAX_SIGN_IN_BYTES>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let proof = body.value.proof()?;
    let executed = second_factor::step_up(&app, &call, &person.holder, proof, from).await?;
    Ok(done(&executed))
}
