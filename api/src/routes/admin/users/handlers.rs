use super::body::{BanUser, GrantRole, StaffUserBody, ban_body, from_view};
use crate::application::users::{self as staff, change};
use crate::application::{App, accounts};
use crate::guard::FreshPerson;
use crate::http::{
    AtLeast, Body, Command, Etag, Id, Json, List, Params, Path, Position, Problem, Replayed, done,
};
use crate::routes::NoParams;
use crate::routes::PageParams;
use crate::routes::users;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::Executed;
use domain::user::{User, UserCommand};
use domain::{RoleName, UserId};
use std::sync::Arc;

/// The users, by number.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "users", responses((status = 200, body = List<StaffUserBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<StaffUserBody>>, Problem> {
    app.caught_up(projections::users::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = projections::users::list(&app.pool, cursor, params.limit.into()).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for view in page.items {
        items.push(from_view(&app, view).await?);
    }
    Ok(Json(List { items, next_cursor: page.next_cursor }))
}

/// Gives a user a role; one that they have already is fine.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/roles", tag = "users", responses((status = 200, body = StaffUserBody, headers(("ETag")))))]
pub(super) async fn grant_role(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(Id(user_id)): Path<Id<UserId>>,
    command: Command,
    body: Body<GrantRole>,
) -> Result<Response, Problem> {
    let grant = UserCommand::GrantRole { role: body.value.role };
    let executed = change(&app, &command.call(body.fingerprint), user_id, grant).await?;
    answer(&app, user_id, &executed).await
}

/// Takes a role from a user; one that they do not have is fine.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/roles/{role}", tag = "users",
    responses((status = 200, body = StaffUserBody, headers(("ETag")))))]
pub(super) async fn revoke_role(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(path): Path<(Id<UserId>, RoleName)>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let (Id(user_id), role) = path;
    let revoke = UserCommand::RevokeRole { role };
    let executed = change(&app, &command.call(body.fingerprint), user_id, revoke).await?;
    answer(&app, user_id, &executed).await
}

/// Keeps a user from doing anything, at once and with any token.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/ban", tag = "users", responses((status = 200, body = StaffUserBody, headers(("ETag")))))]
pub(super) async fn ban(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id<UserId>>,
    command: Command,
    body: Body<BanUser>,
) -> Result<Response, Problem> {
    let BanUser { reason, until } = body.value;
    let call = command.call(body.fingerprint);
    let executed = staff::ban(&app, &call, user_id, &reason, until).await?;
    answer(&app, user_id, &executed).await
}

/// Lifts a user's ban; that there is none is fine.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/unban", tag = "users", responses((status = 200, body = StaffUserBody, headers(("ETag")))))]
pub(super) async fn unban(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id<UserId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = change(&app, &call, user_id, UserCommand::Unban).await?;
    answer(&app, user_id, &executed).await
}

/// Ends all sessions of a user, at once and with any token.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/sessions", tag = "users", responses((status = 204)))]
pub(super) async fn end_sessions(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id<UserId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = change(&app, &call, user_id, UserCommand::EndSessions).await?;
    Ok(done(&executed))
}

/// The user right after the command.
async fn answer(app: &App, user_id: UserId, executed: &Executed) -> Result<Response, Problem> {
    let user = executed.loaded::<User>(0);
    let created_at = accounts::created_at(app, user_id).await?;
    let body = users::from_aggregate(app, user_id, &user, created_at).await?;
    let ban = match user.state.ban {
        Some(ban) => Some(ban_body(app, user_id, ban.reason, ban.until).await?),
        None => None,
    };
    let body = StaffUserBody { user: body, ban };
    let etag = Etag::new(user.sequence, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(body)).into_response())
}
