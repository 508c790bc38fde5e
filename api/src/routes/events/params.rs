use domain::{AGGREGATES, Position};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeSet;

/// The most events of one JSON answer, and how many it holds when nobody says.
pub(super) const MAX_EVENTS: u32 = 1_000;

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventParams {
    /// Only those after this position; 0 begins at the beginning.
    #[serde(default, deserialize_with = "of_a_journal")]
    pub(super) after: Position,
    /// How many at most. Without it JSON holds 1,000, NDJSON everything.
    pub(super) limit: Option<EventLimit>,
    /// Event types separated by commas, such as `OrderPlaced,OrderPaid`; in full, such as
    /// `gomall.order.OrderPlaced.v1`, as well.
    pub(super) types: Option<Types>,
    /// An aggregate type, such as `order`.
    pub(super) aggregate: Option<AggregateType>,
    /// One aggregate's id, in the spelling that events have it in.
    #[schemars(example = &"01890a5d-ac96-774b-bcce-b302099a8057")]
    pub(super) aggregate_id: Option<String>,
    /// Only those up to this position.
    #[serde(default, deserialize_with = "of_a_journal")]
    pub(super) until: Option<Position>,
}

/// Journals count in a signed 64-bit column: what is beyond is a mistake, and no position to go on from.
fn of_a_journal<'de, D: Deserializer<'de>, T: From<Position>>(given: D) -> Result<T, D::Error> {
    let position = Position::deserialize(given)?;
    let is_one = i64::try_from(position.get()).is_ok();
    is_one.then(|| position.into()).ok_or_else(|| de::Error::custom("expected a position"))
}

/// 1 to [`MAX_EVENTS`].
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u32")]
#[schemars(extend("minimum" = 1, "maximum" = MAX_EVENTS))]
pub(super) struct EventLimit(pub(super) u32);

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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("pattern" = r"^[A-Za-z0-9.]+(,[A-Za-z0-9.]+)*$"), example = &"OrderPlaced,OrderPaid")]
pub(super) struct Types(pub(super) BTreeSet<String>);

impl TryFrom<String> for Types {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let types: Option<_> = text.split(',').map(|name| known(name).map(str::to_owned)).collect();
        types.map(Self).ok_or("expected event types such as OrderPlaced, separated by commas")
    }
}

/// The name of an event's type that is given so, or in full: `gomall.order.OrderPlaced.v1`.
pub(super) fn known(given: &str) -> Option<&'static str> {
    AGGREGATES.iter().find_map(|events| {
        let named = |(name, version): &(&str, u32)| {
            given == *name || given == format!("gomall.{}.{name}.v{version}", events.aggregate_type)
        };
        events.stored().into_iter().find(named).map(|(name, _)| name)
    })
}

/// A type of aggregates that exists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("enum" = AGGREGATES.iter().map(|events| events.aggregate_type).collect::<Vec<_>>()))]
pub(super) struct AggregateType(pub(super) String);

impl TryFrom<String> for AggregateType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = AGGREGATES.iter().any(|events| events.aggregate_type == text);
        if known { Ok(Self(text)) } else { Err("expected an aggregate type, such as order") }
    }
}
