//! How far the read models are.

use super::super::{NoParams, schema};
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use axum::extract::State;
use domain::Timestamp;
use projections::{ProjectionStatus, Status};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A read model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectionBody {
    name: String,
    /// Of the shape of its rows.
    version: i32,
    /// Everything up to this position is in its rows or among its dead letters.
    position: u64,
    /// Events that it has still to apply.
    lag: u64,
    /// `running`; `partly_parked`: it goes on without some ordering keys, see the dead letters; or `parked`
    /// before an event that it cannot apply.
    #[schema(value_type = String)]
    status: Status,
    /// The event before which it is parked.
    parked_position: Option<u64>,
    /// Why it is parked.
    parked_reason: Option<String>,
    /// When its position or status changed last.
    #[schema(value_type = schema::Timestamp)]
    updated_at: Timestamp,
}

/// All read models, by name. There are a handful, so one page holds them all.
#[utoipa::path(get, path = "/api/v1/admin/projections", tag = "operations",
    responses((status = 200, body = List<ProjectionBody>)))]
async fn list(
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

fn body(status: ProjectionStatus, head: u64) -> ProjectionBody {
    ProjectionBody {
        parked_position: status.parked_position(),
        lag: head.saturating_sub(status.position),
        name: status.name,
        version: status.version,
        position: status.position,
        status: status.status,
        parked_reason: status.parked_reason,
        updated_at: status.updated_at.into(),
    }
}
