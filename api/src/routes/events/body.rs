use crate::openapi::schema::answers;
use domain::Position;
use nats::PublicEvent;
use schemars::JsonSchema;
use serde::Serialize;

answers!(EventPage);

/// A page of events.
#[derive(Serialize, JsonSchema)]
pub(super) struct EventPage {
    /// In the order of their positions; fewer than `limit` where events are large, none at the end.
    pub(super) items: Vec<PublicEvent<'static>>,
    /// The last item's position, or `after` when there is none: the next page's `after`.
    pub(super) last_position: Position,
}
