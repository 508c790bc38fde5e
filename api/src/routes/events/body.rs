use crate::openapi::schema::answers;
use domain::{Position, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

answers!(EventPage);

/// A page of events.
#[derive(Serialize, JsonSchema)]
pub(super) struct EventPage {
    /// In the order of their positions; fewer than `limit` where events are large, none at the end.
    pub(super) items: Vec<Event>,
    /// The last item's position, or `after` when there is none: the next page's `after`.
    pub(super) last_position: Position,
}

/// An event (CloudEvents 1.0, structured). It holds ids and facts, never personal data.
#[derive(Serialize, JsonSchema)]
#[schemars(example = json!({
    "specversion": "1.0",
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "source": "/gomall",
    "type": "gomall.stock.StockReceived.v1",
    "subject": "stock/notebook",
    "time": "2026-11-25T12:00:00.123Z",
    "datacontenttype": "application/json",
    "position": 17,
    "sequence": 2,
    "actor": "user:01890a5d-ac96-774b-bcce-b302099a8057",
    "correlationid": "01890a5d-ac96-774b-bcce-b302099a8057",
    "causationid": null,
    "traceparent": null,
    "data": { "quantity": 1000, "reason": "first delivery" },
}))]
pub(super) struct Event {
    #[schemars(example = &"1.0")]
    pub(super) specversion: String,
    pub(super) id: Uuid,
    #[schemars(example = &"/gomall")]
    pub(super) source: String,
    #[schemars(example = &"gomall.order.OrderPlaced.v1")]
    pub(super) r#type: String,
    #[schemars(example = &"order/0199d3a2-7c41-7000-8000-00000000abcd")]
    pub(super) subject: String,
    pub(super) time: Timestamp,
    #[schemars(example = &"application/json")]
    pub(super) datacontenttype: String,
    /// Its place in the one order of all events: 1, 2, 3, … without a gap.
    pub(super) position: Position,
    /// Its place among its aggregate's events.
    pub(super) sequence: u64,
    pub(super) actor: Option<String>,
    pub(super) correlationid: Option<Uuid>,
    pub(super) causationid: Option<Uuid>,
    pub(super) traceparent: Option<String>,
    /// Its public fields; null in a stub.
    pub(super) data: serde_json::Value,
    /// Whether it is a stub: it is newer than the process that answers. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) oversized: bool,
    /// Where a stub's event is. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) dataref: Option<String>,
}
