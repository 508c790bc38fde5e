use super::body::{EntryBody, body};
use super::params::AuditParams;
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use axum::extract::State;
use projections::audit;
use std::sync::Arc;

/// Changes of who may do what, and refused requests, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "operations", responses((status = 200, body = List<EntryBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<AuditParams>,
    at_least: AtLeast,
) -> Result<Json<List<EntryBody>>, Problem> {
    app.caught_up(audit::NAME, at_least).await?;
    // What this process has refused a moment ago; others write theirs within a second.
    app.security.settle().await;
    let AuditParams { limit, cursor, .. } = &params;
    let (limit, cursor) = ((*limit).into(), cursor.clone());
    let filter = params.filter(&app.security);
    // Filters that find little read much: nobody else's connections are used.
    let page = audit::list(&app.searches, &filter, cursor.as_deref(), limit).await?;
    Ok(Json(List::from(page).map(body)))
}
