use super::body::{RuleBody, RuleRequest, body, from_view, written};
use crate::application::App;
use crate::application::policy;
use crate::guard::FreshPerson;
use crate::http::{
    AtLeast, Body, Command, Id, IfMatch, IfNoneMatch, Json, List, Params, Path, Problem,
};
use crate::routes::NoParams;
use crate::routes::PageParams;
use crate::routes::admin::policy::{etag, headers};
use crate::routes::admin::reach::advise;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use commands::bus::Executed;
use domain::RuleId;
use domain::policy::{Policy, PolicyChange, Rule};
use projections::permissions;
use std::sync::Arc;

/// The rules in force, in the order in which they were added. They have no other order: a deny
/// rule wins over every allow rule.
#[utoipa::path(get, path = "/api/v1/admin/permission-rules", tag = "permissions", responses((status = 200, body = List<RuleBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<RuleBody>>, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    let cursor = params.cursor.as_deref();
    let page = permissions::rules(&app.pool, cursor, params.limit.into()).await?;
    Ok(Json(List::from(page).map(from_view)))
}

/// One rule.
#[utoipa::path(get, path = "/api/v1/admin/permission-rules/{id}", tag = "permissions", responses((status = 200, body = RuleBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(Id(rule_id)): Path<Id<RuleId>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up(permissions::NAME, at_least).await?;
    let view = permissions::rule_by_id(&app.pool, rule_id).await?;
    let view = view.ok_or_else(Problem::not_found)?;
    Ok(if_none_match.answer(etag(written(&view)), Json(from_view(view))))
}

/// Puts a rule in force.
#[utoipa::path(post, path = "/api/v1/admin/permission-rules", tag = "permissions", responses((status = 201, body = RuleBody, headers(("ETag"), ("Location"), ("Policy-Version")))))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    command: Command,
    body: Body<RuleRequest>,
) -> Result<Response, Problem> {
    let rule = body.value.checked("")?;
    let call = command.call(body.fingerprint);
    let rule_id = call.new_id("permission-rule", app.world);
    let add = PolicyChange::AddRule { rule_id, rule: rule.clone() };
    let executed = policy::change(&app, &call, add).await?;
    let location = [(LOCATION, format!("/api/v1/admin/permission-rules/{rule_id}"))];
    let answer = answer(&app, &executed, rule_id, rule).await?;
    Ok((StatusCode::CREATED, location, answer).into_response())
}

/// Makes a rule say something else.
#[utoipa::path(put, path = "/api/v1/admin/permission-rules/{id}", tag = "permissions", responses((status = 200, body = RuleBody, headers(("Policy-Version")))))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(Id(rule_id)): Path<Id<RuleId>>,
    if_match: IfMatch,
    command: Command,
    body: Body<RuleRequest>,
) -> Result<Response, Problem> {
    let rule = body.value.checked("")?;
    let versions = match &if_match {
        IfMatch::Any => None,
        IfMatch::Versions(versions) => Some(versions.as_slice()),
    };
    let call = command.call(body.fingerprint);
    let executed = policy::change_rule(&app, &call, rule_id, &rule, versions).await?;
    answer(&app, &executed, rule_id, rule).await
}

/// Takes a rule out of force.
#[utoipa::path(delete, path = "/api/v1/admin/permission-rules/{id}", tag = "permissions", responses((status = 204, headers(("Policy-Version")))))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    _: FreshPerson,
    Path(Id(rule_id)): Path<Id<RuleId>>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    let remove = PolicyChange::RemoveRule { rule_id };
    let executed = policy::change(&app, &command.call(body.fingerprint), remove).await?;
    Ok((StatusCode::NO_CONTENT, headers(&executed), ()).into_response())
}

/// The rule right after the command.
async fn answer(
    app: &App,
    executed: &Executed,
    rule_id: RuleId,
    rule: Rule,
) -> Result<Response, Problem> {
    let written = policy::written(app, executed, async {
        let view = permissions::rule_by_id(&app.pool, rule_id).await?;
        Ok(view.as_ref().map(self::written))
    });
    let written = written.await?;
    let advice = advise(&app.pool, executed.state::<Policy>(0), rule_id, &rule).await?;
    let body = Json(body(rule_id, rule, written.version, advice));
    Ok((headers(executed), etag(written), body).into_response())
}
