use crate::openapi::schema::answers;
use domain::{Position, Timestamp};
use projections::{ProjectionStatus, Status};
use schemars::JsonSchema;
use serde::Serialize;

answers!(ProjectionBody);

/// A read model.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProjectionBody {
    pub(super) name: String,
    /// Of the shape of its rows.
    #[schemars(range(min = 1))]
    pub(super) version: i32,
    /// Everything up to this position is in its rows or among its dead letters.
    pub(super) position: Position,
    /// Events that it has still to apply.
    pub(super) lag: u64,
    /// `running`; `partly_parked`: it goes on without some ordering keys, see the dead letters; or `parked`
    /// before an event that it cannot apply.
    pub(super) status: Status,
    /// The event before which it is parked.
    pub(super) parked_position: Option<Position>,
    /// Why it is parked.
    pub(super) parked_reason: Option<String>,
    /// When its position or status changed last.
    pub(super) updated_at: Timestamp,
}

pub(super) fn body(status: ProjectionStatus, head: Position) -> ProjectionBody {
    ProjectionBody {
        parked_position: status.parked_position(),
        lag: status.position.lag(head),
        name: status.name,
        version: status.version,
        position: status.position,
        status: status.status,
        parked_reason: status.parked_reason,
        updated_at: status.updated_at.into(),
    }
}
