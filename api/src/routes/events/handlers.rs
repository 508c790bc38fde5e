use super::body::EventPage;
use super::params::{AggregateType, EventLimit, EventParams, MAX_EVENTS, Types};
use crate::application::App;
use crate::guard::{Fresh, Permission};
use crate::http::{AtLeast, JSON_UTF8, Params, Problem, ranges, weight};
use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use commands::journal::ReadError;
use domain::{Filter, Position, RecordedEvent};
use futures::stream::TryReadyChunksError;
use futures::{Stream, StreamExt, TryStreamExt};
use nats::write_public_event;
use std::sync::Arc;

/// The media type of a line an event.
const NDJSON: &str = "application/x-ndjson";

/// Events that leave as one chunk, when they are there already.
const CHUNK_EVENTS: usize = 100;

/// Events in order: a page as JSON, or everything with `Accept: application/x-ndjson`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", responses((status = 200, content((EventPage = "application/json"), (String = "application/x-ndjson")))))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
    at_least: AtLeast,
    fresh: Result<Fresh, Problem>,
    permission: Permission,
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
        // All there is, in one answer: nothing for whoever found a token.
        let Fresh = fresh?;
        // Up to the journal's end as it is now.
        let events = app.reports.export(params.after, filter).take(limit.unwrap_or(usize::MAX));
        (NDJSON, Body::from_stream(permission.over(lines(events).await?)))
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
    weight(&ranges(headers, &ACCEPT), &[NDJSON]).is_some_and(|weight| weight > 0)
}

fn page(events: &[Arc<RecordedEvent>], after: Position) -> Vec<u8> {
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
) -> Result<impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static, Problem> {
    let mut events = Box::pin(events.peekable());
    if let Some(Err(_)) = events.as_mut().peek().await {
        // Only a look: what it saw is the next item.
        if let Some(Err(error)) = events.next().await {
            return Err(error.into());
        }
    }
    Ok(events.try_ready_chunks(CHUNK_EVENTS).map(|chunk| match chunk {
        Ok(events) => Ok(chunk_of(&events)),
        Err(TryReadyChunksError(_, error)) => {
            tracing::warn!(%error, "an export of events was cut off");
            Err(error.into())
        }
    }))
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
#[path = "tests.rs"]
mod tests;
