//! Who has an account: roles and bans.

use super::super::users::{self, UserBody};
use super::super::{NoParams, schema};
use super::PageParams;
use crate::app::App;
use crate::http::{
    AtLeast, Body, Command, Etag, Id, Json, List, Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::{Context, ExecuteError, Executed, Plan, RequestKey};
use domain::user::{User, UserCommand};
use domain::{Reason, Rejection, RejectionKind, RoleName, Timestamp};
use projections::users::UserView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The role whose last holder must stay able to use it: nobody else could repair the shop.
const ADMIN: &str = "admin";

/// How many other administrators are looked at before the one in question counts as the last.
/// Only those are looked at whom the read model takes for one, so the first will do nearly always.
const MAX_CANDIDATES: u16 = 10;

/// How often a plan is made anew because the other administrator has changed meanwhile.
const MAX_PLANS: u32 = 4;

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
    let key = command.request_key(body.fingerprint);
    let executed = change(&app, user_id, grant, &command.context, key).await?;
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
    let key = command.request_key(body.fingerprint);
    let executed = change(&app, user_id, revoke, &command.context, key).await?;
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
    let key = command.request_key(body.fingerprint);
    let ban = UserCommand::Ban { reason, until };
    let executed = change(&app, user_id, ban, &command.context, key).await?;
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
    let key = command.request_key(body.fingerprint);
    let executed = change(&app, user_id, UserCommand::Unban, &command.context, key).await?;
    answer(&app, user_id, &executed).await
}

/// A ban that is over before it begins is a mistake.
pub(super) fn check_until(app: &App, until: Option<Timestamp>) -> Result<(), Problem> {
    if until.is_none_or(|until| (app.world.now)() < until) {
        Ok(())
    } else {
        Err(Problem::invalid_field("/until", "expected a time to come"))
    }
}

/// Changes a user. It is in force in this process before the answer leaves; the other processes
/// follow the journal.
///
/// # Errors
/// Also 409 `last_administrator`, and 422 for a ban that is over before it begins.
pub(super) async fn change(
    app: &App,
    user_id: Uuid,
    command: UserCommand,
    context: &Context,
    key: Option<RequestKey>,
) -> Result<Executed, Problem> {
    let look = || Plan::new(context).look::<User>(user_id.to_string()).keyed(key, Value::Null);
    if let UserCommand::Ban { until, .. } = &command
        && let Err(problem) = check_until(app, *until)
    {
        return app.refuse(look(), problem).await;
    }
    let mut outcome = Err(ExecuteError::Contended);
    for _ in 0..MAX_PLANS {
        let plan = Plan::new(context)
            .step::<User>(user_id.to_string(), command.clone())
            .keyed(key, Value::Null);
        outcome = match keeping_an_administrator(app, plan, user_id, &command).await? {
            Some(plan) => app.bus.execute(plan).await,
            None => {
                let last = || ExecuteError::Rejected(vec![Box::new(LastAdministrator)]);
                app.bus.refuse(look()).await.and_then(|first| first.ok_or_else(last))
            }
        };
        if !matches!(outcome, Err(ExecuteError::Contended)) {
            break;
        }
    }
    let executed = outcome?;
    app.access.note_change(user_id, executed.version(0)).await;
    Ok(executed)
}

/// Lets the plan through only with another administrator who stays one: an account with the role
/// that is not banned. That they do is expected of the journal, so that two administrators cannot
/// take the role from each other at the same time.
///
/// Candidates come from the read model, which may be a moment behind: an administrator who was
/// appointed just now may be overlooked, which errs on the safe side.
async fn keeping_an_administrator(
    app: &App,
    plan: Plan,
    user_id: Uuid,
    command: &UserCommand,
) -> Result<Option<Plan>, Problem> {
    let disarms = match command {
        UserCommand::RevokeRole { role } => role.as_str() == ADMIN,
        UserCommand::Ban { .. } | UserCommand::Erase => true,
        UserCommand::Register { .. }
        | UserCommand::ChangeProfile { .. }
        | UserCommand::ChangePassword { .. }
        | UserCommand::GrantRole { .. }
        | UserCommand::Unban => false,
    };
    let now = (app.world.now)();
    if !disarms || !is_administrator(&app.bus.load::<User>(&user_id.to_string()).await?.state, now)
    {
        return Ok(Some(plan));
    }
    let role = RoleName::known(ADMIN);
    let others = projections::users::others_with(&app.pool, &role, user_id, now, MAX_CANDIDATES);
    for candidate in others.await? {
        let other = app.bus.load::<User>(&candidate.to_string()).await?;
        if is_administrator(&other.state, now) {
            return Ok(Some(plan.unchanged::<User>(candidate.to_string(), other.head)));
        }
    }
    Ok(None)
}

fn is_administrator(user: &User, now: Timestamp) -> bool {
    user.exists() && !user.is_banned(now) && user.roles.iter().any(|role| role.as_str() == ADMIN)
}

/// There would be no administrator left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is the last administrator who can sign in")]
struct LastAdministrator;

impl Rejection for LastAdministrator {
    fn code(&self) -> &'static str {
        "last_administrator"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}

/// The user right after the command.
async fn answer(app: &App, user_id: Uuid, executed: &Executed) -> Result<Response, Problem> {
    let user = executed.loaded::<User>(0);
    let created_at = users::created_at(app, user_id).await?;
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
