use super::body::{BanBody, BanRequest, from_view, of_network, of_user, written};
use crate::application::policy;
use crate::application::{App, Call, users};
use crate::guard::ClientAddress;
use crate::http::{
    AtLeast, Body, Command, Etag, FieldError, Id, IfNoneMatch, Json, List, Params, Path,
    PolicyVersion, Position, Problem, Replayed,
};
use crate::routes::NoParams;
use crate::routes::PageParams;
use crate::routes::admin::network::Network;
use crate::routes::admin::policy::{etag, headers};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::policy::PolicyChange;
use domain::user::UserCommand;
use domain::{BanId, UserId};
use projections::permissions;
use std::sync::Arc;
use uuid::Uuid;

/// What the cursors of the second part of the list begin with; those of the first never hold a dot.
const USERS_CURSOR: &str = "users.";

/// Every ban, those whose time is over included.
#[utoipa::path(get, path = "/api/v1/admin/bans", tag = "permissions", responses((status = 200, body = List<BanBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<BanBody>>, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    app.caught_up(projections::users::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let nobody = UserId::from(Uuid::nil());
    let after = match cursor.and_then(|cursor| cursor.strip_prefix(USERS_CURSOR)) {
        Some("") => Some(nobody),
        Some(id) => {
            let Some(Id(id)) = Id::parse(id) else {
                return Err(Problem::invalid_parameter(
                    "cursor",
                    "expected a next_cursor of this list",
                ));
            };
            Some(id)
        }
        None => None,
    };
    let mut items = vec![];
    if after.is_none() {
        let page = permissions::address_bans(&app.pool, cursor, params.limit.into()).await?;
        items.extend(page.items.into_iter().map(from_view));
        if page.next_cursor.is_some() {
            return Ok(Json(List { items, next_cursor: page.next_cursor }));
        }
    }
    let after = after.unwrap_or(nobody);
    let users = projections::users::banned(&app.pool).await?;
    let mut users = users.into_iter().filter(|(user_id, _)| *user_id > after).peekable();
    let mut last = None;
    while items.len() < params.limit.get() as usize {
        let Some((user_id, ban)) = users.next() else { break };
        last = Some(user_id);
        items.push(of_user(user_id, ban.reason, ban.until, None));
    }
    let last = last.map(|user_id| user_id.to_string()).unwrap_or_default();
    let next_cursor = users.peek().map(|_| format!("{USERS_CURSOR}{last}"));
    Ok(Json(List { items, next_cursor }))
}

/// One ban.
#[utoipa::path(get, path = "/api/v1/admin/bans/{id}", tag = "permissions", responses((status = 200, body = BanBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id<BanId>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    app.caught_up(projections::users::NAME, at_least).await?;
    if let Some(view) = permissions::address_ban_by_id(&app.pool, id).await? {
        let etag = etag(written(&view));
        return Ok(if_none_match.answer(etag, Json(from_view(view))));
    }
    let user_id = id.user_id();
    let user =
        projections::users::by_id(&app.pool, user_id).await?.ok_or_else(Problem::not_found)?;
    let ban = user.ban.ok_or_else(Problem::not_found)?;
    let body = of_user(user_id, ban.reason, ban.until, Some(user.version));
    Ok(if_none_match.answer(Etag::new(user.version, user.position), Json(body)))
}

/// Keeps a user, or everybody at some addresses, from doing anything.
#[utoipa::path(post, path = "/api/v1/admin/bans", tag = "permissions", responses((status = 201, body = BanBody, headers(("ETag"), ("Location"), ("Policy-Version"))), (status = 404)))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    command: Command,
    body: Body<BanRequest>,
) -> Result<Response, Problem> {
    let BanRequest { user_id, cidr, reason, until } = body.value;
    let ban_id = |call: &Call| call.new_id("ban", app.world);
    let call = command.call(body.fingerprint);
    match (user_id, cidr) {
        (Some(Id(user_id)), None) => {
            let ban = UserCommand::Ban { reason: reason.clone(), until };
            let executed = users::change(&app, &call, user_id, ban).await?;
            let version = executed.version(0);
            let body = of_user(user_id, reason, until, Some(version));
            let parts = (
                Position(executed.position),
                PolicyVersion(app.policy.current().version()),
                Replayed(executed.replayed),
                Etag::new(version, executed.position),
            );
            Ok((StatusCode::CREATED, parts, location(BanId::of(user_id)), Json(body))
                .into_response())
        }
        (None, Some(Network(cidr))) => {
            let ban_id = ban_id(&call);
            let ban = PolicyChange::BanAddress {
                ban_id,
                cidr,
                reason: reason.clone(),
                until,
                asked_from: Some(address.0),
            };
            let executed = policy::change(&app, &call, ban).await?;
            let written = policy::written(&app, &executed, async {
                let view = permissions::address_ban_by_id(&app.pool, ban_id).await?;
                Ok(view.as_ref().map(self::written))
            });
            let written = written.await?;
            let body = of_network(ban_id, &cidr, reason, until, written.version);
            let parts = (headers(&executed), etag(written), location(ban_id));
            Ok((StatusCode::CREATED, parts, Json(body)).into_response())
        }
        (Some(_), Some(_)) => {
            Err(Problem::invalid_field("/cidr", "give user_id or cidr, not both"))
        }
        (None, None) => {
            Err(Problem::field(FieldError::at("/user_id", "missing_field", "give user_id or cidr")))
        }
    }
}

/// Lifts a ban.
#[utoipa::path(delete, path = "/api/v1/admin/bans/{id}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn lift(
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id<BanId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let Some(executed) = users::lift_ban(&app, &call, id.user_id()).await? else {
        // The policy says whether there is such a ban of addresses.
        let lift = PolicyChange::UnbanAddress { ban_id: id };
        let executed = policy::change(&app, &call, lift).await?;
        return Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response());
    };
    let version = PolicyVersion(app.policy.current().version());
    let parts = (Position(executed.position), version, Replayed(executed.replayed));
    Ok((StatusCode::NO_CONTENT, parts, ()).into_response())
}

fn location(id: BanId) -> [(axum::http::HeaderName, String); 1] {
    [(LOCATION, format!("/api/v1/admin/bans/{id}"))]
}
