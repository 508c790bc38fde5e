use crate::application::App;
use crate::http::Problem;
use crate::openapi::schema::answers;
use commands::bus::Loaded;
use domain::user::User;
use domain::{EmailAddress, Locale, Name, Position, Profile, RoleName, Timestamp, UserId};
use projections::users::UserView;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

answers!(UserBody);

/// A user.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::routes) struct UserBody {
    pub(super) id: UserId,
    /// A small positive number for people and old clients.
    #[schemars(range(min = 1))]
    pub(super) number: i32,
    /// Null after the user was erased.
    pub(super) email: Option<EmailAddress>,
    pub(super) name: Option<Name>,
    /// `en` or `zh`.
    pub(super) locale: Locale,
    pub(super) roles: BTreeSet<RoleName>,
    pub(super) created_at: Timestamp,
    pub(super) version: u64,
}

/// The user as the read model has them.
pub(in crate::routes) async fn from_view(app: &App, view: UserView) -> Result<UserBody, Problem> {
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
pub(in crate::routes) async fn from_aggregate(
    app: &App,
    user_id: UserId,
    user: &Loaded<User>,
    created_at: Timestamp,
) -> Result<UserBody, Problem> {
    let view = UserView::of(user_id, &user.state, created_at, user.sequence, Position::START);
    from_view(app, view.ok_or_else(Problem::not_found)?).await
}

pub(super) fn parts(profile: Option<Profile>) -> (Option<EmailAddress>, Option<Name>) {
    profile.map_or((None, None), |profile| (Some(profile.email), profile.name))
}
