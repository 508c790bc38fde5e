use super::body::{ProjectionBody, body};
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use crate::routes::NoParams;
use axum::extract::State;
use std::sync::Arc;

/// All read models, by name. There are a handful, so one page holds them all.
#[utoipa::path(get, path = "/api/v1/admin/projections", tag = "operations",
    responses((status = 200, body = List<ProjectionBody>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<List<ProjectionBody>>, Problem> {
    app.journal_reached(at_least).await?;
    let statuses = projections::list_projections(&app.pool)
        .await
        .map_err(|error| Problem::unavailable(&error))?;
    // Read second, so that no projection seems to be ahead of the journal.
    let head = app.reader.head().await?;
    let items = statuses.into_iter().map(|status| body(status, head)).collect();
    Ok(Json(List { items, next_cursor: None }))
}
