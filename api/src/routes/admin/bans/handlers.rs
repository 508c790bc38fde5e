use super::body::{BanBody, BanRequest};
use crate::application::App;
use crate::application::bans::{self, Changed};
use crate::guard::ClientAddress;
use crate::http::{
    AtLeast, Body, Command, Id, IfNoneMatch, Json, List, Params, Path, PolicyVersion, Position,
    Problem, Replayed,
};
use crate::routes::NoParams;
use crate::routes::PageParams;
use crate::routes::admin::policy::etag;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, IntoResponseParts, Response};
use domain::BanId;
use projections::{permissions, users};
use std::sync::Arc;

/// The read models that know bans.
const READ_MODELS: [&str; 2] = [permissions::NAME, users::NAME];

/// Every ban, those whose time is over included.
#[utoipa::path(get, path = "/api/v1/admin/bans", tag = "permissions", responses((status = 200, body = List<BanBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<BanBody>>, Problem> {
    app.all_caught_up(&READ_MODELS, at_least).await?;
    let page = bans::page(&app, params.cursor.as_deref(), params.limit.into()).await?;
    Ok(Json(List::from(page).map(BanBody::from)))
}

/// One ban.
#[utoipa::path(get, path = "/api/v1/admin/bans/{id}", tag = "permissions", responses((status = 200, body = BanBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Id(ban_id)): Path<Id<BanId>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.all_caught_up(&READ_MODELS, at_least).await?;
    let (ban, written) = bans::by_id(&app, ban_id).await?;
    Ok(if_none_match.answer(etag(written), Json(BanBody::from(ban))))
}

/// Keeps a user, or everybody at some addresses, from doing anything.
#[utoipa::path(post, path = "/api/v1/admin/bans", tag = "permissions", responses((status = 201, body = BanBody, headers(("ETag"), ("Location"), ("Policy-Version"))), (status = 404)))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    ClientAddress(asked_from): ClientAddress,
    command: Command,
    body: Body<BanRequest>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let new = body.value.checked(asked_from)?;
    let (ban, written, changed) = bans::add(&app, &call, new).await?;
    let location = [(LOCATION, format!("/api/v1/admin/bans/{}", ban.ban_id))];
    let parts = (headers(&changed), etag(written), location);
    Ok((StatusCode::CREATED, parts, Json(BanBody::from(ban))).into_response())
}

/// Lifts a ban.
#[utoipa::path(delete, path = "/api/v1/admin/bans/{id}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn lift(
    State(app): State<Arc<App>>,
    Path(Id(ban_id)): Path<Id<BanId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let changed = bans::lift(&app, &command.call(body.fingerprint), ban_id).await?;
    Ok((StatusCode::NO_CONTENT, headers(&changed), ()).into_response())
}

fn headers(changed: &Changed) -> impl IntoResponseParts + use<> {
    let Changed { executed, policy_version } = changed;
    (Position(executed.position), PolicyVersion(*policy_version), Replayed(executed.replayed))
}
