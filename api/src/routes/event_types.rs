//! What events there are, and what each holds.

use super::{NoParams, schema};
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use axum::extract::State;
use domain::{event_schemas, public_schema};
use nats::public_event::cloud_type;
use serde::Serialize;
use std::sync::{Arc, LazyLock};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Made once: they are those of the build.
static EVENT_TYPES: LazyLock<List<EventType>> = LazyLock::new(|| {
    let schemas = event_schemas().into_iter();
    let types = schemas.filter_map(|event| {
        Some(EventType {
            r#type: cloud_type(event.aggregate_type, event.event_type, event.version),
            aggregate: event.aggregate_type,
            name: event.event_type,
            version: event.version,
            schema: public_schema(&event)?,
        })
    });
    List { items: types.collect(), next_cursor: None }
});

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// One version of one type of events.
#[derive(Serialize, ToSchema)]
struct EventType {
    /// The member `type` of its events.
    #[schema(example = "gomall.order.OrderPlaced.v1")]
    r#type: String,
    /// Whose events they are: what `GET /api/v1/events` takes as `aggregate`.
    #[schema(value_type = schema::Token, example = "order")]
    aggregate: &'static str,
    /// What `GET /api/v1/events` takes among its `types`.
    #[schema(value_type = schema::Token, example = "OrderPlaced")]
    name: &'static str,
    /// Of the shape of its fields. Older ones are listed as well: the journal may hold them.
    version: u32,
    /// The JSON Schema (2020-12) of the member `data`, complete in itself.
    schema: serde_json::Value,
}

/// Every version of every type of events, with its schema, aggregate by aggregate. There are some
/// dozens, so one page holds them all.
#[utoipa::path(get, path = "/api/v1/event-types", tag = "events",
    responses((status = 200, body = List<EventType>)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<&'static List<EventType>>, Problem> {
    app.journal_reached(at_least).await?;
    Ok(Json(&*EVENT_TYPES))
}
