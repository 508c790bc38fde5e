//! The paths that need no permission.

use super::super::{NoParams, schema};
use super::PageParams;
use super::permission_rules::check_methods;
use super::policy::{etag, headers};
use crate::application::App;
use crate::application::policy::{self, Written};
use crate::http::{AtLeast, Body, Command, Id, IfNoneMatch, Json, List, Params, Path, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::policy::{MethodSelector, PolicyCommand};
use projections::permissions::{self, PublicPathView};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(show, remove))
}

/// Paths that need no permission.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicPathBody {
    id: Uuid,
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>)]
    methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    path: String,
    /// The policy's version when the entry was written.
    version: u64,
}

/// Paths that shall need no permission.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicPathRequest {
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 10)]
    methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    #[schema(max_length = 512)]
    path: String,
}

/// The public paths in the order in which they were added.
#[utoipa::path(get, path = "/api/v1/admin/public-paths", tag = "permissions", params(PageParams),
    responses((status = 200, body = List<PublicPathBody>), (status = 422, body = schema::Problem)))]
async fn list(
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
#[utoipa::path(get, path = "/api/v1/admin/public-paths/{id}", tag = "permissions", params(("id" = Uuid, Path)),
    responses((status = 200, body = PublicPathBody), (status = 304), (status = 404, body = schema::Problem)))]
async fn show(
    State(app): State<Arc<App>>,
    Path(Id(public_path_id)): Path<Id>,
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
#[utoipa::path(post, path = "/api/v1/admin/public-paths", tag = "permissions", request_body = PublicPathRequest,
    responses((status = 201, body = PublicPathBody), (status = 422, body = schema::Problem)))]
async fn add(
    State(app): State<Arc<App>>,
    command: Command,
    body: Body<PublicPathRequest>,
) -> Result<Response, Problem> {
    let PublicPathRequest { methods, path } = body.value;
    check_methods(&methods)?;
    let call = command.call(body.fingerprint);
    let public_path_id = call.new_id("public-path", app.world);
    let add = PolicyCommand::AddPublicPath {
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
    let body = PublicPathBody { id: public_path_id, methods, path, version: written.version };
    let location = [(LOCATION, format!("/api/v1/admin/public-paths/{public_path_id}"))];
    let parts = (headers(&executed), etag(written), location);
    Ok((StatusCode::CREATED, parts, Json(body)).into_response())
}

/// Makes permission needed again.
#[utoipa::path(delete, path = "/api/v1/admin/public-paths/{id}", tag = "permissions", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn remove(
    State(app): State<Arc<App>>,
    Path(Id(public_path_id)): Path<Id>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let remove = PolicyCommand::RemovePublicPath { public_path_id };
    let executed = policy::change(&app, &command.call(body.fingerprint), remove).await?;
    Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response())
}

fn written(view: &PublicPathView) -> Written {
    Written { version: view.version, position: view.position }
}

fn from_view(view: PublicPathView) -> PublicPathBody {
    let PublicPathView { public_path_id: id, methods, path, version, .. } = view;
    PublicPathBody { id, methods, path, version }
}
