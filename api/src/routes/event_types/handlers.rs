use super::body::EventType;
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use crate::routes::NoParams;
use axum::extract::State;
use domain::{event_schemas, public_schema};
use nats::public_event::cloud_type;
use std::sync::{Arc, LazyLock};

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

/// Every version of every type of events, with its schema, aggregate by aggregate. There are some
/// dozens, so one page holds them all.
#[utoipa::path(get, path = "/api/v1/event-types", tag = "events",
    responses((status = 200, body = List<EventType>)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
) -> Result<Json<&'static List<EventType>>, Problem> {
    app.journal_reached(at_least).await?;
    Ok(Json(&*EVENT_TYPES))
}
