use crate::openapi::schema::answers;
use schemars::JsonSchema;
use serde::Serialize;

answers!(EventType);

/// One version of one type of events.
#[derive(Serialize, JsonSchema)]
pub(super) struct EventType {
    /// The member `type` of its events.
    #[schemars(example = &"gomall.order.OrderPlaced.v1")]
    pub(super) r#type: String,
    /// Whose events they are: what `GET /api/v1/events` takes as `aggregate`.
    #[schemars(example = &"order")]
    pub(super) aggregate: &'static str,
    /// What `GET /api/v1/events` takes among its `types`.
    #[schemars(example = &"OrderPlaced")]
    pub(super) name: &'static str,
    /// Of the shape of its fields. Older ones are listed as well: the journal may hold them.
    pub(super) version: u32,
    /// The JSON Schema (2020-12) of the member `data`, complete in itself.
    pub(super) schema: serde_json::Value,
}
