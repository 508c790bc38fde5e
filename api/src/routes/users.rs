//! How a user is shown: to themselves, and to staff.

use crate::application::{App, accounts};
use crate::guard::Member;
use crate::http::{AtLeast, Etag, IfNoneMatch, Json, Params, Problem};
use axum::extract::State;
use axum::response::Response;
use commands::bus::Loaded;
use domain::user::User;
use domain::{EmailAddress, Locale, Name, Profile, RoleName, Timestamp};
use projections::users::UserView;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{NoParams, schema};

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(me))
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserBody {
    id: Uuid,
    /// A small positive number for people and old clients.
    number: i32,
    /// Null after the user was erased.
    #[schema(value_type = Option<String>)]
    email: Option<EmailAddress>,
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// `en` or `zh`.
    #[schema(value_type = String)]
    locale: Locale,
    #[schema(value_type = Vec<schema::Token>)]
    roles: BTreeSet<RoleName>,
    #[schema(value_type = schema::Timestamp)]
    created_at: Timestamp,
    version: u64,
}

/// The caller.
#[utoipa::path(get, path = "/api/v1/me", tag = "me",
    responses((status = 200, body = UserBody), (status = 304)))]
async fn me(
    State(app): State<Arc<App>>,
    member: Member,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up("users", at_least).await?;
    let (etag, body) = match projections::users::by_id(&app.pool, member.user_id).await? {
        Some(view) => (Etag::new(view.version, view.position), from_view(&app, view).await?),
        // Somebody who has just registered may be ahead of the read model.
        None => {
            let user = app.bus.load::<User>(&member.user_id.to_string()).await?;
            let position = app.position_of::<User>(member.user_id, user.sequence).await?;
            let created_at = accounts::created_at(&app, member.user_id).await?;
            let body = from_aggregate(&app, member.user_id, &user, created_at).await?;
            (Etag::new(user.sequence, position), body)
        }
    };
    Ok(if_none_match.answer(etag, Json(body)))
}

/// The user as the read model has them.
pub(super) async fn from_view(app: &App, view: UserView) -> Result<UserBody, Problem> {
    let profile = app.vault.open(view.user_id, &view.profile).await?;
    let (email, name) = parts(profile);
    Ok(UserBody {
        id: view.user_id,
        number: view.number,
        email,
        name,
        locale: view.locale,
        roles: view.roles,
        created_at: view.created_at,
        version: view.version,
    })
}

/// The user as a command left them, for an answer that waits for no read model.
pub(super) async fn from_aggregate(
    app: &App,
    user_id: Uuid,
    user: &Loaded<User>,
    created_at: Timestamp,
) -> Result<UserBody, Problem> {
    let state = &user.state;
    let (Some(number), Some(profile), Some(locale)) = (state.number, &state.profile, &state.locale)
    else {
        return Err(Problem::not_found());
    };
    let (email, name) = parts(app.vault.open(user_id, profile).await?);
    Ok(UserBody {
        id: user_id,
        number,
        email,
        name,
        locale: locale.clone(),
        roles: state.roles.clone(),
        created_at,
        version: user.sequence,
    })
}

fn parts(profile: Option<Profile>) -> (Option<EmailAddress>, Option<Name>) {
    profile.map_or((None, None), |profile| (Some(profile.email), profile.name))
}
