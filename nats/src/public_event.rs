//! What the world sees of an event: a CloudEvents 1.0 object in structured JSON.
//!
//! The same bytes go to JetStream and into `/events`. They hold ids and facts; members that are
//! sealed (names, addresses, e-mail) are left out.

use domain::{RecordedEvent, Timestamp, public_payload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Write;
use uuid::Uuid;

/// The `source` of every event.
pub const SOURCE: &str = "/gomall";
/// What every `type` begins with.
const TYPE_PREFIX: &str = "gomall.";

/// A published event, as a reader gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublicEvent {
    /// The version of CloudEvents: `1.0`.
    pub specversion: String,
    /// Unique for ever.
    pub id: Uuid,
    /// [`SOURCE`].
    pub source: String,
    /// `gomall.<aggregate type>.<event type>.v<version>`.
    #[serde(rename = "type")]
    pub cloud_type: String,
    /// `<aggregate type>/<aggregate id>`.
    pub subject: String,
    /// When it was appended; never goes back with growing position.
    pub time: Timestamp,
    /// `application/json`.
    pub datacontenttype: String,
    /// Its place in the one global order, 1, 2, 3, …; also its message's sequence on JetStream.
    pub position: u64,
    /// Its place in the aggregate's own stream: 1, 2, 3, …
    pub sequence: u64,
    /// `user:<id>`, `anonymous` or `system:<process>`; null when unknown.
    pub actor: Option<String>,
    /// One id for everything that one request led to; null when unknown.
    pub correlationid: Option<Uuid>,
    /// What led directly to it; null when unknown.
    pub causationid: Option<Uuid>,
    /// W3C trace context; null when there was none.
    pub traceparent: Option<String>,
    /// The event's public fields, a JSON object. Null in an [oversized](Self::oversized) stub.
    pub data: Option<Box<RawValue>>,
    /// Whether the event was too large for the message; then `dataref` says where it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oversized: bool,
    /// Where to fetch an oversized event, relative to the shop's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataref: Option<String>,
}

impl PublicEvent {
    /// The aggregate's type, e.g. `order`.
    #[must_use]
    pub fn aggregate_type(&self) -> &str {
        self.subject.split_once('/').map_or("", |(aggregate_type, _)| aggregate_type)
    }

    /// The aggregate's id.
    #[must_use]
    pub fn aggregate_id(&self) -> &str {
        self.subject.split_once('/').map_or("", |(_, id)| id)
    }

    /// The event's type without aggregate and version, e.g. `OrderPlaced`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.cloud_type.rsplit('.').nth(1).unwrap_or("")
    }
}

/// The parts of an event's metadata that are public. Lenient: the journal may hold events that were
/// written through a stock `cqrs-es` framework, with metadata of their own.
#[derive(Default, Deserialize)]
struct PublicMetadata<'a> {
    #[serde(borrow, default)]
    actor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    causation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
}

/// The member `type` of an event: [`PublicEvent::cloud_type`].
#[must_use]
pub fn cloud_type(aggregate_type: &str, event_type: &str, version: u32) -> String {
    format!("{TYPE_PREFIX}{aggregate_type}.{event_type}.v{version}")
}

/// Appends the public form of an event to `out`: one line of JSON, without a line end.
///
/// The payload's bytes are copied as they are unless something in them is sealed.
pub fn write_public_event(event: &RecordedEvent, out: &mut Vec<u8>) {
    write_envelope(event, out);
    match public_payload(&event.payload).and_then(one_line) {
        Ok(payload) => out.extend_from_slice(payload.as_bytes()),
        Err(error) => {
            // PostgreSQL accepts some JSON that serde_json does not (a lone surrogate). Without
            // being understood it might hold something sealed.
            tracing::error!(event.position, %error, "an event is published without its data");
            out.extend_from_slice(b"null");
        }
    }
    out.push(b'}');
}

/// Appends the form of an event that is too large for a message: everything but its data, and where
/// to fetch that.
pub(crate) fn write_stub(event: &RecordedEvent, out: &mut Vec<u8>) {
    write_envelope(event, out);
    let after = event.position.saturating_sub(1);
    put(
        out,
        format_args!(r#"null,"oversized":true,"dataref":"/api/v1/events?after={after}&limit=1"}}"#),
    );
}

impl TryFrom<&RecordedEvent> for PublicEvent {
    /// Only when the recorded payload is not JSON, which nothing in the journal is.
    type Error = serde_json::Error;

    fn try_from(event: &RecordedEvent) -> Result<Self, Self::Error> {
        let mut bytes = Vec::new();
        write_public_event(event, &mut bytes);
        serde_json::from_slice(&bytes)
    }
}

/// Everything up to and including `"data":`.
fn write_envelope(event: &RecordedEvent, out: &mut Vec<u8>) {
    let metadata: PublicMetadata<'_> = serde_json::from_str(&event.metadata).unwrap_or_default();
    let id = |text: Option<Cow<'_, str>>| text.and_then(|text| Uuid::try_parse(&text).ok());
    out.reserve(event.payload.len() + 512);
    put(
        out,
        format_args!(r#"{{"specversion":"1.0","id":"{}","source":"{SOURCE}","#, event.event_id),
    );
    out.extend_from_slice(br#""type":""#);
    out.extend_from_slice(TYPE_PREFIX.as_bytes());
    put_part(out, &event.aggregate_type);
    out.push(b'.');
    put_part(out, &event.event_type);
    out.extend_from_slice(b".v");
    put_part(out, &event.event_version);
    out.extend_from_slice(br#"","subject":""#);
    put_part(out, &event.aggregate_type);
    out.push(b'/');
    put_part(out, &event.aggregate_id);
    put(
        out,
        format_args!(
            r#"","time":"{}","datacontenttype":"application/json","position":{},"sequence":{}"#,
            Timestamp::from(event.recorded_at),
            event.position,
            event.sequence,
        ),
    );
    out.extend_from_slice(br#","actor":"#);
    put_optional(out, metadata.actor.as_deref());
    for (name, id) in
        [("correlationid", id(metadata.correlation_id)), ("causationid", id(metadata.causation_id))]
    {
        match id {
            Some(id) => put(out, format_args!(r#","{name}":"{id}""#)),
            None => put(out, format_args!(r#","{name}":null"#)),
        }
    }
    out.extend_from_slice(br#","traceparent":"#);
    put_optional(out, metadata.traceparent.as_deref());
    out.extend_from_slice(br#","data":"#);
}

/// A stored payload may hold line ends between its members; a line of NDJSON may not.
fn one_line(payload: String) -> Result<String, serde_json::Error> {
    if payload.as_bytes().contains(&b'\n') || payload.as_bytes().contains(&b'\r') {
        let value: serde_json::Value = serde_json::from_str(&payload)?;
        serde_json::to_string(&value)
    } else {
        Ok(payload)
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing into memory cannot fail");
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing text into memory cannot fail");
}

/// A part of a text, without quotes. Identifiers, which these nearly always are, need no escaping.
fn put_part(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        out.extend_from_slice(text.as_bytes());
    } else {
        let begin = out.len();
        put_text(out, text);
        out.pop();
        out.remove(begin);
    }
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
}
