//! The journal for analysts: every event, in order, from any position.

use super::schema;
use crate::application::App;
use crate::http::{AtLeast, JSON_UTF8, Params, Problem};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use commands::journal::ReadError;
use domain::{AGGREGATES, Filter, RecordedEvent};
use futures::{Stream, StreamExt, TryStreamExt};
use nats::write_public_event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The most events of one JSON answer, and how many it holds when nobody says.
const MAX_EVENTS: u32 = 1_000;

/// The media type of a line an event.
const NDJSON: &str = "application/x-ndjson";

/// Events that leave as one chunk, when they are there already.
const CHUNK_EVENTS: usize = 100;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventParams {
    /// Only those after this position; 0 begins at the beginning.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    after: u64,
    /// How many at most. Without it JSON holds 1,000, NDJSON everything.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<EventLimit>,
    /// Event types separated by commas, such as `OrderPlaced,OrderPaid`; in full, such as
    /// `gomall.order.OrderPlaced.v1`, as well.
    #[param(value_type = Option<String>)]
    types: Option<Types>,
    /// An aggregate type, such as `order`.
    #[param(value_type = Option<String>)]
    aggregate: Option<AggregateType>,
    /// One aggregate's id.
    aggregate_id: Option<String>,
    /// Only those up to this position.
    until: Option<u64>,
}

/// 1 to [`MAX_EVENTS`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct EventLimit(u32);

impl TryFrom<u32> for EventLimit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=MAX_EVENTS).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("expected a number from 1 to {MAX_EVENTS}"))
        }
    }
}

/// Types of events that exist. A mistyped one would otherwise look like one that never happened.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Types(BTreeSet<String>);

impl TryFrom<String> for Types {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let types: Option<_> = text.split(',').map(|name| known(name).map(str::to_owned)).collect();
        types.map(Self).ok_or("expected event types such as OrderPlaced, separated by commas")
    }
}

/// The name of an event's type that is given so, or in full: `gomall.order.OrderPlaced.v1`.
fn known(given: &str) -> Option<&'static str> {
    AGGREGATES.iter().find_map(|events| {
        let named = |(name, version): &(&str, u32)| {
            given == *name || given == format!("gomall.{}.{name}.v{version}", events.aggregate_type)
        };
        events.stored().into_iter().find(named).map(|(name, _)| name)
    })
}

/// A type of aggregates that exists.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct AggregateType(String);

impl TryFrom<String> for AggregateType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = AGGREGATES.iter().any(|events| events.aggregate_type == text);
        if known { Ok(Self(text)) } else { Err("expected an aggregate type, such as order") }
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
struct EventPage {
    /// In the order of their positions; fewer than `limit` where events are large, none at the end.
    items: Vec<Event>,
    /// The last item's position, or `after` when there is none: the next page's `after`.
    last_position: u64,
}

/// An event (CloudEvents 1.0, structured). It holds ids and facts, never personal data.
#[derive(Serialize, ToSchema)]
struct Event {
    #[schema(example = "1.0")]
    specversion: String,
    id: Uuid,
    #[schema(example = "/gomall")]
    source: String,
    #[schema(example = "gomall.order.OrderPlaced.v1")]
    r#type: String,
    #[schema(example = "order/0199d3a2-7c41-7000-8000-00000000abcd")]
    subject: String,
    time: schema::Timestamp,
    #[schema(example = "application/json")]
    datacontenttype: String,
    /// Its place in the one order of all events: 1, 2, 3, … without a gap.
    position: u64,
    /// Its place among its aggregate's events.
    sequence: u64,
    #[schema(required)]
    actor: Option<String>,
    #[schema(required)]
    correlationid: Option<Uuid>,
    #[schema(required)]
    causationid: Option<Uuid>,
    #[schema(required)]
    traceparent: Option<String>,
    /// Its public fields; null in a stub.
    data: serde_json::Value,
    /// Whether it is a stub: it is newer than the process that answers. Absent otherwise.
    #[serde(default)]
    oversized: bool,
    /// Where a stub's event is. Absent otherwise.
    #[schema(nullable = false)]
    dataref: Option<String>,
}

/// Events in order: a page as JSON, or everything with `Accept: application/x-ndjson`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventParams),
    responses((status = 200, content((EventPage = "application/json"), (String = "application/x-ndjson"))),
        (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    app.journal_reached(at_least).await?;
    let filter = Filter {
        event_types: params
            .types
            .map(|Types(types)| types.into_iter().collect())
            .unwrap_or_default(),
        aggregate_type: params.aggregate.map(|AggregateType(name)| name),
        aggregate_id: params.aggregate_id,
        until: params.until,
    };
    let limit = params.limit.map(|EventLimit(limit)| limit as usize);
    let (kind, body) = if wants_lines(&headers) {
        // Up to the journal's end as it is now.
        let events = app.reports.export(params.after, filter).take(limit.unwrap_or(usize::MAX));
        (NDJSON, lines(events).await?)
    } else {
        let limit = limit.unwrap_or(MAX_EVENTS as usize);
        let events = app.reports.page(params.after, limit, &filter).await?;
        (JSON_UTF8, page(&events, params.after).into())
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (VARY, HeaderValue::from_static("accept")),
    ];
    Ok((headers, body).into_response())
}

/// Whether the caller names NDJSON among what it takes.
fn wants_lines(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| range.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(NDJSON))
}

fn page(events: &[Arc<RecordedEvent>], after: u64) -> Vec<u8> {
    let mut out = b"{\"items\":[".to_vec();
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_public_event(event, &mut out);
    }
    let last_position = events.last().map_or(after, |event| event.position);
    out.extend_from_slice(format!("],\"last_position\":{last_position}}}").as_bytes());
    out
}

/// A line an event. The journal is read as the caller takes what was read, so memory holds a page
/// of it, however long it is.
///
/// # Errors
/// When the journal cannot be read at the start. Later the answer breaks off: the connection is
/// cut, so that a part can never pass for the whole.
async fn lines(
    events: impl Stream<Item = Result<Arc<RecordedEvent>, ReadError>> + Send + 'static,
) -> Result<Body, Problem> {
    let mut events = Box::pin(events.peekable());
    if let Some(Err(_)) = events.as_mut().peek().await {
        // Only a look: what it saw is the next item.
        if let Some(Err(error)) = events.next().await {
            return Err(error.into());
        }
    }
    let chunks = events.try_ready_chunks(CHUNK_EVENTS).map(|chunk| match chunk {
        Ok(events) => Ok(chunk_of(&events)),
        Err(broken) => {
            tracing::warn!(error = %broken.1, "an export of events was cut off");
            Err(broken.1)
        }
    });
    Ok(Body::from_stream(chunks))
}

fn chunk_of(events: &[Arc<RecordedEvent>]) -> Bytes {
    let mut out = Vec::new();
    for event in events {
        write_public_event(event, &mut out);
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
