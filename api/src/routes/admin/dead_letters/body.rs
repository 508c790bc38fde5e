use crate::openapi::schema::answers;
use domain::{Position, Timestamp};
use projections::dead_letters::{DeadLetter, DeadLetterId, DeadLetterStatus, InvalidDeadLetterId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

answers!(DeadLetterBody);

/// An event that a consumer of the journal could not take in, or that waits behind such a one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeadLetterBody {
    /// `<consumer>.<position>`.
    #[schemars(extend("pattern" = "^[a-z_]+[.][1-9][0-9]*$"), example = &"orders.1234")]
    pub(super) id: String,
    /// A projection, or another follower of the journal.
    pub(super) consumer: String,
    /// The event's place in the journal.
    pub(super) position: Position,
    pub(super) event_id: Uuid,
    pub(super) event_type: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    /// What waits with it; null: the consumer as a whole.
    pub(super) ordering_key: Option<String>,
    /// `failed`, `waiting` behind one that failed, or `given_up` by somebody.
    pub(super) status: DeadLetterStatus,
    /// Why it failed; null while it only waits.
    pub(super) reason: Option<String>,
    /// How often it was tried.
    #[schemars(range(min = 0))]
    pub(super) attempts: i32,
    /// Whether another try is under way.
    pub(super) retrying: bool,
    pub(super) first_at: Timestamp,
    /// When it was tried last, or given up.
    pub(super) last_at: Timestamp,
}

/// A dead letter in a path: `<consumer>.<position>`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = "^[a-z_]+[.][1-9][0-9]*$"), example = &"orders.1234")]
pub(super) struct LetterId(#[schemars(with = "String")] pub(super) DeadLetterId);

impl TryFrom<String> for LetterId {
    type Error = InvalidDeadLetterId;

    fn try_from(text: String) -> Result<Self, InvalidDeadLetterId> {
        text.parse().map(Self)
    }
}

pub(super) fn body(letter: DeadLetter) -> DeadLetterBody {
    DeadLetterBody {
        id: letter.id.to_string(),
        consumer: letter.id.consumer,
        position: letter.id.position,
        event_id: letter.event_id,
        event_type: letter.event_type,
        aggregate_type: letter.aggregate_type,
        aggregate_id: letter.aggregate_id,
        ordering_key: letter.ordering_key,
        status: letter.status,
        reason: letter.reason,
        attempts: letter.attempts,
        retrying: letter.retry,
        first_at: letter.first_at.into(),
        last_at: letter.last_at.into(),
    }
}
