use super::body::{PublicPathBody, PublicPathRequest, body, from_view, with_warning, written};
use crate::application::App;
use crate::application::policy;
use crate::guard::FreshPerson;
use crate::http::{AtLeast, Body, Command, Id, IfNoneMatch, Json, List, Params, Path, Problem};
use crate::routes::NoParams;
use crate::routes::PageParams;
use crate::routes::admin::policy::{check_methods, etag, headers};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::PublicPathId;
use domain::policy::PolicyChange;
use projections::permissions;
use std::sync::Arc;

/// The public paths in the order in which they were added.
#[utoipa::path(get, path = "/api/v1/admin/public-paths", tag = "permissions", responses((status = 200, body = List<PublicPathBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<PublicPathBody>>, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = permissions::public_paths(&app.pool, cursor, params.limit.into()).await?;
    Ok(Json(List::from(page).map(from_view)))
}

/// One entry.
#[utoipa::path(get, path = "/api/v1/admin/public-paths/{id}", tag = "permissions", responses((status = 200, body = PublicPathBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Id(public_path_id)): Path<Id<PublicPathId>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    let view = permissions::public_path_by_id(&app.pool, public_path_id).await?;
    let view = view.ok_or_else(Problem::not_found)?;
    Ok(if_none_match.answer(etag(written(&view)), Json(from_view(view))))
}

/// Lets everybody use some paths.
#[utoipa::path(post, path = "/api/v1/admin/public-paths", tag = "permissions", responses((status = 201, body = PublicPathBody, headers(("ETag"), ("Location"), ("Policy-Version")))))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    command: Command,
    body: Body<PublicPathRequest>,
) -> Result<Response, Problem> {
    let PublicPathRequest { methods, path } = body.value;
    check_methods(&methods, "")?;
    let call = command.call(body.fingerprint);
    let public_path_id = call.new_id("public-path", app.world);
    let add = PolicyChange::AddPublicPath {
        public_path_id,
        methods: methods.clone(),
        path: path.clone(),
    };
    let executed = policy::change(&app, &call, add).await?;
    let written = policy::written(&app, &executed, async {
        let view = permissions::public_path_by_id(&app.pool, public_path_id).await?;
        Ok(view.as_ref().map(self::written))
    });
    let written = written.await?;
    let body = with_warning(self::body(public_path_id, methods, path, written.version));
    let location = [(LOCATION, format!("/api/v1/admin/public-paths/{public_path_id}"))];
    let parts = (headers(&executed), etag(written), location);
    Ok((StatusCode::CREATED, parts, Json(body)).into_response())
}

/// Makes permission needed again.
#[utoipa::path(delete, path = "/api/v1/admin/public-paths/{id}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(Id(public_path_id)): Path<Id<PublicPathId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let remove = PolicyChange::RemovePublicPath { public_path_id };
    let executed = policy::change(&app, &command.call(body.fingerprint), remove).await?;
    Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response())
}
