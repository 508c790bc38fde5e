use crate::openapi::schema::answers;
use domain::{RoleName, Timestamp, UserId};
use projections::audit::{Entry, Kind};
use schemars::JsonSchema;
use serde::Serialize;
use std::net::IpAddr;
use uuid::Uuid;

answers!(EntryBody);

/// A change of who may do what, or a refused request, or several refused ones that are alike.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EntryBody {
    /// `change.<position of the event>` or `denial.<number>`.
    #[schemars(extend("pattern" = "^(change|denial)[.][1-9][0-9]*$"), example = &"change.1234")]
    pub(super) id: String,
    pub(super) kind: Kind,
    /// When; of several alike the last.
    pub(super) at: Timestamp,
    /// When the first of several alike happened.
    pub(super) first_at: Timestamp,
    /// How many are alike: the same refusal of the same request within a second.
    #[schemars(range(min = 1))]
    pub(super) times: u32,
    /// The event's type, such as `RoleGranted`, or the refusal's code, such as `forbidden`.
    pub(super) code: String,
    /// Of a change: who did it, such as `user:<id>` or `cli`. Null of a refusal.
    pub(super) actor: Option<String>,
    /// Of a change: whose account or session it is about. Of a refusal: who asked, or whose account was to be signed
    /// in to.
    pub(super) user_id: Option<UserId>,
    /// Of a change: the type of what changed.
    pub(super) aggregate_type: Option<String>,
    /// Of a change: its id.
    pub(super) aggregate_id: Option<String>,
    /// The role that was granted or revoked.
    pub(super) role: Option<RoleName>,
    /// The rule, the public path or the ban of addresses that changed.
    pub(super) entry_id: Option<Uuid>,
    /// From where the request came. Null after 30 days, and of what was no request.
    #[schemars(with = "Option<String>")]
    pub(super) address: Option<IpAddr>,
    /// Of a sign-in: a keyed hash of the e-mail address. The filter `email` finds it.
    pub(super) email_hash: Option<String>,
    /// The request's method; `other` if it is none of the usual ones.
    pub(super) method: Option<String>,
    /// The first 200 characters of its path.
    pub(super) path: Option<String>,
    /// The rule or the public path that refused the request or let it in. Null where none did.
    pub(super) rule_id: Option<Uuid>,
    /// The version of the policy that decided; 0 when the request was refused before.
    pub(super) policy_version: Option<u64>,
    /// The request's trace; of several alike the last's.
    pub(super) trace_id: Option<String>,
}

pub(super) fn body(entry: Entry) -> EntryBody {
    let kind = match entry.kind {
        Kind::Change => "change",
        Kind::Denial => "denial",
    };
    EntryBody {
        id: format!("{kind}.{}", entry.id),
        kind: entry.kind,
        at: entry.at,
        first_at: entry.first_at,
        times: entry.times,
        code: entry.code,
        actor: entry.actor,
        user_id: entry.user_id,
        aggregate_type: entry.aggregate_type,
        aggregate_id: entry.aggregate_id,
        role: entry.role,
        entry_id: entry.entry_id,
        address: entry.address,
        email_hash: entry.email_hash,
        method: entry.method,
        path: entry.path,
        rule_id: entry.rule_id,
        policy_version: entry.policy_version,
        trace_id: entry.trace_id,
    }
}
