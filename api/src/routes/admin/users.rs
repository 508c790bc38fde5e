//! Who has an account: roles and bans.

use super::super::users::{self, UserBody};
use super::super::{NoParams, schema};
use super::PageParams;
use crate::application::users::change;
use crate::application::{App, accounts};
use crate::http::{
    AtLeast, Body, Command, Etag, Id, Json, List, Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::Executed;
use domain::user::{User, UserCommand};
use domain::{Reason, RoleName, Timestamp};
use projections::users::UserView;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(grant_role))
        .routes(routes!(revoke_role))
        .routes(routes!(ban))
        .routes(routes!(unban))
}

/// A user as staff sees them. E-mail and name are null once the user is erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffUserBody {
    #[serde(flatten)]
    user: UserBody,
    /// The ban that was last spoken and not lifted; its time may be over.
    ban: Option<UserBanBody>,
}

/// Why somebody may not do anything.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserBanBody {
    #[schema(value_type = String)]
    reason: Reason,
    /// Until when; null means for ever.
    #[schema(value_type = Option<schema::Timestamp>)]
    until: Option<Timestamp>,
}

/// A role to grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRole {
    #[schema(value_type = schema::Token)]
    role: RoleName,
}

/// A ban to speak.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanUser {
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: Reason,
    /// Until when; for ever if absent.
    #[serde(default)]
    #[schema(value_type = Option<schema::Timestamp>)]
    until: Option<Timestamp>,
}

/// The users, by number.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "users", params(PageParams),
    responses((status = 200, body = List<StaffUserBody>), (status = 422, body = schema::Problem)))]
async fn list(
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
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/roles", tag = "users", request_body = GrantRole,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = StaffUserBody), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn grant_role(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id>,
    command: Command,
    body: Body<GrantRole>,
) -> Result<Response, Problem> {
    let grant = UserCommand::GrantRole { role: body.value.role };
    let executed = change(&app, &command.call(body.fingerprint), user_id, grant).await?;
    answer(&app, user_id, &executed).await
}

/// Takes a role from a user; one that they do not have is fine.
#[utoipa::path(delete, path = "/api/v1/admin/users/{id}/roles/{role}", tag = "users",
    params(("id" = Uuid, Path), ("role" = schema::Token, Path)),
    responses((status = 200, body = StaffUserBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn revoke_role(
    State(app): State<Arc<App>>,
    Path(path): Path<(Id, RoleName)>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let (Id(user_id), role) = path;
    let revoke = UserCommand::RevokeRole { role };
    let executed = change(&app, &command.call(body.fingerprint), user_id, revoke).await?;
    answer(&app, user_id, &executed).await
}

/// Keeps a user from doing anything, at once and with any token.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/ban", tag = "users", request_body = BanUser,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = StaffUserBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem),
        (status = 422, body = schema::Problem)))]
async fn ban(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id>,
    command: Command,
    body: Body<BanUser>,
) -> Result<Response, Problem> {
    let BanUser { reason, until } = body.value;
    let ban = UserCommand::Ban { reason, until };
    let executed = change(&app, &command.call(body.fingerprint), user_id, ban).await?;
    answer(&app, user_id, &executed).await
}

/// Lifts a user's ban; that there is none is fine.
#[utoipa::path(post, path = "/api/v1/admin/users/{id}/unban", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 200, body = StaffUserBody), (status = 404, body = schema::Problem)))]
async fn unban(
    State(app): State<Arc<App>>,
    Path(Id(user_id)): Path<Id>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let executed = change(&app, &call, user_id, UserCommand::Unban).await?;
    answer(&app, user_id, &executed).await
}

/// The user right after the command.
async fn answer(app: &App, user_id: Uuid, executed: &Executed) -> Result<Response, Problem> {
    let user = executed.loaded::<User>(0);
    let created_at = accounts::created_at(app, user_id).await?;
    let body = StaffUserBody {
        user: users::from_aggregate(app, user_id, &user, created_at).await?,
        ban: user.state.ban.map(|ban| UserBanBody { reason: ban.reason, until: ban.until }),
    };
    let etag = Etag::new(user.sequence, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(body)).into_response())
}

async fn from_view(app: &App, mut view: UserView) -> Result<StaffUserBody, Problem> {
    let ban = view.ban.take();
    Ok(StaffUserBody {
        user: users::from_view(app, view).await?,
        ban: ban.map(|ban| UserBanBody { reason: ban.reason, until: ban.until }),
    })
}
