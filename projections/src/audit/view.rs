use crate::rows::Row;
use domain::{Position, RoleName, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// A change, as the read model keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChangeRow {
    pub(super) position: Position,
    pub(super) recorded_at: Timestamp,
    pub(super) event_type: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) user_id: Option<UserId>,
    pub(super) role: Option<RoleName>,
    pub(super) entry_id: Option<Uuid>,
    pub(super) actor: String,
    pub(super) correlation_id: Uuid,
    pub(super) trace_id: Option<String>,
}

impl Row for ChangeRow {
    type Key = Position;
    const TABLE: &'static str = "audit_changes";
    const KEY: (&'static str, &'static str) = ("position", "bigint");
    const COLUMNS: &'static str = "position, recorded_at, event_type, aggregate_type, \
        aggregate_id, user_id, role, entry_id, actor, correlation_id, trace_id";

    fn key(&self) -> Position {
        self.position
    }
}

/// What an entry of the audit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something changed about who may do what.
    Change,
    /// A request was refused.
    Denial,
}

/// An entry of the audit: a change, or a refusal, or several refusals that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Which of the two.
    pub kind: Kind,
    /// The event's position, or the number of the refusal; unique among those of its kind.
    pub id: i64,
    /// When it happened, to the millisecond; of several alike the last.
    pub at: Timestamp,
    /// When the first of several alike happened.
    pub first_at: Timestamp,
    /// How many are alike; 1 or more.
    pub times: u32,
    /// The event's type, such as `RoleGranted`, or the code of the refusal, such as `forbidden`.
    pub code: String,
    /// Of a change: the type and the id of what changed.
    pub aggregate_type: Option<String>,
    /// Of a change: its id.
    pub aggregate_id: Option<String>,
    /// Of a change of roles: which one.
    pub role: Option<RoleName>,
    /// Of a change of the policy: the rule, the public path or the ban of addresses.
    pub entry_id: Option<Uuid>,
    /// Of a change: who did it, as events say it.
    pub actor: Option<String>,
    /// Whose account or session changed; of a refusal, who asked, or whose account was to be signed in to.
    pub user_id: Option<UserId>,
    /// From where; absent of a change whose request is not known any more, or was none.
    pub address: Option<IpAddr>,
    /// The keyed hash of the e-mail address, when it was a sign-in.
    pub email_hash: Option<String>,
    /// The request's method.
    pub method: Option<String>,
    /// The beginning of its path.
    pub path: Option<String>,
    /// The rule or the public path that decided about the request.
    pub rule_id: Option<Uuid>,
    /// The policy's version that decided; 0 when it was refused before.
    pub policy_version: Option<u64>,
    /// The request's trace; of several alike the last's.
    pub trace_id: Option<String>,
}
