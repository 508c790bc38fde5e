//! What the world sees of an event: a CloudEvents 1.0 object in structured JSON.
//!
//! The same bytes go to JetStream and into `/events`. [`PublicEvent`] is their one description: what is
//! written is serialized from it, readers get it, and its JSON Schema is in
//! `docs/public-event-schemas.json`. What of an event's fields is public says
//! [`domain::public`]; everything else in it is ids and facts.

use domain::{Position, PublicShape, RecordedEvent, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Write;
use uuid::Uuid;

/// The version of CloudEvents.
const SPEC_VERSION: &str = "1.0";
/// The `source` of every event.
pub const SOURCE: &str = "/gomall";
/// The media type of `data`.
const DATA_TYPE: &str = "application/json";
/// What every `type` begins with.
const TYPE_PREFIX: &str = "gomall.";
const NULL: &[u8] = b"null";

/// A published event: CloudEvents 1.0, structured JSON. It holds ids and facts, never personal data.
// Whoever reads one gets it without borrowing, with `data` as it was sent; whoever writes one borrows
// from what is recorded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(bound = "", rename = "Event", example = serde_json::json!({
    "specversion": SPEC_VERSION,
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "source": SOURCE,
    "type": "gomall.stock.StockReceived.v1",
    "subject": "stock/notebook",
    "time": "2026-11-25T12:00:00.123Z",
    "datacontenttype": DATA_TYPE,
    "position": 17,
    "sequence": 2,
    "actor": "user:01890a5d-ac96-774b-bcce-b302099a8057",
    "correlationid": "01890a5d-ac96-774b-bcce-b302099a8057",
    "causationid": null,
    "traceparent": null,
    "data": { "quantity": 1000 },
}))]
pub struct PublicEvent<'a, D = Box<RawValue>> {
    /// The version of CloudEvents: `1.0`.
    pub specversion: Cow<'a, str>,
    /// Unique for ever.
    pub id: Uuid,
    /// `/gomall`.
    pub source: Cow<'a, str>,
    /// `gomall.<aggregate type>.<event type>.v<version>`.
    #[serde(rename = "type")]
    pub cloud_type: Cow<'a, str>,
    /// `<aggregate type>/<aggregate id>`.
    pub subject: Cow<'a, str>,
    /// When it was appended; never goes back with growing position.
    pub time: Timestamp,
    /// `application/json`.
    pub datacontenttype: Cow<'a, str>,
    /// Its place in the one global order, 1, 2, 3, …; also its message's sequence on JetStream.
    pub position: Position,
    /// Its place in the aggregate's own stream: 1, 2, 3, …
    pub sequence: u64,
    /// `user:<id>`, `anonymous` or `system:<process>`; null when unknown.
    pub actor: Option<Cow<'a, str>>,
    /// One id for everything that one request led to; null when unknown.
    pub correlationid: Option<Uuid>,
    /// What led directly to it; null when unknown.
    pub causationid: Option<Uuid>,
    /// W3C trace context; null when there was none.
    pub traceparent: Option<Cow<'a, str>>,
    /// The event's public fields, a JSON object. Null in a stub, see `oversized`.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub data: Option<D>,
    /// Whether this is a stub, without data, because the event is too large for a message or newer than
    /// the build that wrote this; `dataref` says where it is. Absent when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oversized: bool,
    /// Where to fetch the event of a stub, relative to the shop's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataref: Option<Cow<'a, str>>,
}

impl<D> PublicEvent<'_, D> {
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
/// The values of public members are the bytes that are stored. An event of a type or version that this
/// build does not know is a stub: a newer build wrote it, and knows what of it is public.
pub fn write_public_event(event: &RecordedEvent, out: &mut Vec<u8>) {
    let Some(shape) = PublicShape::of(&event.event_type, &event.event_version) else {
        tracing::debug!(
            event.position = event.position.get(),
            "an event is newer than this build and published without its data"
        );
        return write_stub(event, out);
    };
    let part = PublicPart { shape, payload: &event.payload, former: false };
    out.reserve(event.payload.len() + 512);
    let begin = out.len();
    if let Err(error) = with_data(event, part).write(out) {
        // What does not have the shape that its version has might hold anything.
        tracing::error!(event.position = event.position.get(), %error, "an event is published without its data");
        out.truncate(begin);
        write_without_data(&envelope(event), out);
    }
}

/// The form in which builds published an event that held members which are withdrawn now: to recognise it
/// in a stream, and for nothing else. None where it is that of today.
#[must_use]
pub fn former_public_event(event: &RecordedEvent) -> Option<Vec<u8>> {
    let shape = PublicShape::of(&event.event_type, &event.event_version)?;
    if shape.withdrawn().is_empty() {
        return None;
    }
    let mut out = Vec::new();
    let part = PublicPart { shape, payload: &event.payload, former: true };
    with_data(event, part).write(&mut out).is_ok().then_some(out)
}

fn with_data<'a>(
    event: &'a RecordedEvent,
    part: PublicPart<'a>,
) -> PublicEvent<'a, PublicPart<'a>> {
    PublicEvent { data: Some(part), ..envelope(event) }
}

/// Appends the form of an event without its data, and where to fetch that.
pub(crate) fn write_stub(event: &RecordedEvent, out: &mut Vec<u8>) {
    let mut stub = envelope(event);
    stub.oversized = true;
    let after = event.position.previous();
    stub.dataref = Some(format!("/api/v1/events?after={after}&limit=1").into());
    write_without_data(&stub, out);
}

fn write_without_data(public: &PublicEvent<'_, PublicPart<'_>>, out: &mut Vec<u8>) {
    public.write(out).expect("only data can be unreadable");
}

/// The data of an event that is being written: filtered on its way.
struct PublicPart<'a> {
    shape: &'static PublicShape,
    payload: &'a str,
    /// Whether with what was withdrawn.
    former: bool,
}

impl PublicEvent<'_, PublicPart<'_>> {
    /// What `Serialize` would write, in half the time: names and punctuation are one piece, and nearly no
    /// text needs escaping. A member that is forgotten here does not compile; that the two agree is tested.
    ///
    /// # Errors
    /// When the payload is not of its shape.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let Self {
            specversion,
            id,
            source,
            cloud_type,
            subject,
            time,
            datacontenttype,
            position,
            sequence,
            actor,
            correlationid,
            causationid,
            traceparent,
            data,
            oversized,
            dataref,
        } = self;
        put_text(out, r#"{"specversion":"#, specversion);
        put_id(out, r#","id":"#, Some(id));
        put_text(out, r#","source":"#, source);
        put_text(out, r#","type":"#, cloud_type);
        put_text(out, r#","subject":"#, subject);
        put(out, format_args!(r#","time":"{time}""#));
        put_text(out, r#","datacontenttype":"#, datacontenttype);
        put(out, format_args!(r#","position":{position},"sequence":{sequence}"#));
        put_optional(out, r#","actor":"#, actor.as_deref());
        put_id(out, r#","correlationid":"#, correlationid.as_ref());
        put_id(out, r#","causationid":"#, causationid.as_ref());
        put_optional(out, r#","traceparent":"#, traceparent.as_deref());
        out.extend_from_slice(br#","data":"#);
        match data {
            Some(PublicPart { shape, payload, former: false }) => shape.write(payload, out)?,
            Some(PublicPart { shape, payload, former: true }) => {
                shape.write_former(payload, out)?
            }
            None => out.extend_from_slice(NULL),
        }
        if *oversized {
            out.extend_from_slice(br#","oversized":true"#);
        }
        if let Some(dataref) = dataref {
            put_text(out, r#","dataref":"#, dataref);
        }
        out.push(b'}');
        Ok(())
    }
}

impl TryFrom<&RecordedEvent> for PublicEvent<'static> {
    /// Only when the recorded payload is not JSON, which nothing in the journal is.
    type Error = serde_json::Error;

    fn try_from(event: &RecordedEvent) -> Result<Self, Self::Error> {
        let mut bytes = Vec::new();
        write_public_event(event, &mut bytes);
        serde_json::from_slice(&bytes)
    }
}

/// All of a public event but its data.
fn envelope(event: &RecordedEvent) -> PublicEvent<'_, PublicPart<'_>> {
    let metadata: PublicMetadata<'_> = serde_json::from_str(&event.metadata).unwrap_or_default();
    let id = |text: Option<Cow<'_, str>>| text.and_then(|text| Uuid::try_parse(&text).ok());
    let RecordedEvent { aggregate_type, aggregate_id, event_type, event_version, .. } = event;
    PublicEvent {
        specversion: SPEC_VERSION.into(),
        id: event.event_id,
        source: SOURCE.into(),
        cloud_type: [TYPE_PREFIX, aggregate_type, ".", event_type, ".v", event_version]
            .concat()
            .into(),
        subject: [aggregate_type, "/", aggregate_id].concat().into(),
        time: event.recorded_at.into(),
        datacontenttype: DATA_TYPE.into(),
        position: event.position,
        sequence: event.sequence,
        actor: metadata.actor,
        correlationid: id(metadata.correlation_id),
        causationid: id(metadata.causation_id),
        traceparent: metadata.traceparent,
        data: None,
        oversized: false,
        dataref: None,
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing into memory cannot fail");
}

fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(name.as_bytes());
    // Without an early end it is a few instructions for a whole text.
    let needs_escape = text
        .bytes()
        .fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    if !needs_escape {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("writing text into memory cannot fail");
    }
}

fn put_optional(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, name, text),
        None => {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(NULL);
        }
    }
}

fn put_id(out: &mut Vec<u8>, name: &str, id: Option<&Uuid>) {
    out.extend_from_slice(name.as_bytes());
    let Some(id) = id else {
        out.extend_from_slice(NULL);
        return;
    };
    out.push(b'"');
    out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    out.push(b'"');
}
