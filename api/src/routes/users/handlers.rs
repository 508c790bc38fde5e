use super::body::{UserBody, from_aggregate, from_view};
use crate::application::{App, accounts};
use crate::guard::Member;
use crate::http::{AtLeast, Etag, IfNoneMatch, Json, Params, Problem};
use crate::routes::NoParams;
use axum::extract::State;
use axum::response::Response;
use domain::user::User;
use std::sync::Arc;

/// The caller.
#[utoipa::path(get, path = "/api/v1/me", tag = "me",
    responses((status = 200, body = UserBody)))]
pub(super) async fn me(
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
            let user = app.bus.load::<User>(&member.user_id).await?;
            let position = app.position_of::<User>(&member.user_id, user.sequence).await?;
            let created_at = accounts::created_at(&app, member.user_id).await?;
            let body = from_aggregate(&app, member.user_id, &user, created_at).await?;
            (Etag::new(user.sequence, position), body)
        }
    };
    Ok(if_none_match.answer(etag, Json(body)))
}
