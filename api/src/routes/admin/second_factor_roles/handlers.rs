use super::body::SecondFactorRolesBody;
use crate::access::POLICY_ID;
use crate::application::{App, policy};
use crate::guard::FreshPerson;
use crate::http::{AtLeast, Body, Command, Json, Params, Path, Problem};
use crate::routes::NoParams;
use crate::routes::admin::policy::headers;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::RoleName;
use domain::policy::{Policy, PolicyChange};
use std::sync::Arc;

/// The roles that only count for whoever has proved themselves with a second factor.
#[utoipa::path(get, path = "/api/v1/admin/second-factor-roles", tag = "permissions", responses((status = 200, body = SecondFactorRolesBody)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<SecondFactorRolesBody>, Problem> {
    app.journal_reached(at_least).await?;
    let policy = app.bus.load::<Policy>(POLICY_ID).await?.state;
    Ok(Json(SecondFactorRolesBody { items: policy.second_factor_roles, next_cursor: None }))
}

/// Lets a role count only with a second factor. Whoever has it and no second factor yet can set one up.
#[utoipa::path(put, path = "/api/v1/admin/second-factor-roles/{role}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn require(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(role): Path<RoleName>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let require = PolicyChange::RequireSecondFactor { role };
    let executed = policy::change(&app, &command.call(body.fingerprint), require).await?;
    Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response())
}

/// Lets a role count without a second factor again; that it does already is fine.
#[utoipa::path(delete, path = "/api/v1/admin/second-factor-roles/{role}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn waive(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(role): Path<RoleName>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let waive = PolicyChange::WaiveSecondFactor { role };
    let executed = policy::change(&app, &command.call(body.fingerprint), waive).await?;
    Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response())
}
