use crate::application::policy::Written;
use crate::http::Id;
use crate::openapi::schema::answers;
use crate::routes::admin::network::Network;
use domain::{BanId, Reason, Timestamp, UserId};
use projections::permissions::AddressBanView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(BanBody);

/// A ban, of a user or of addresses.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BanBody {
    pub(super) id: BanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<UserId>,
    /// The network; a single address is one of 32 or 128 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cidr: Option<String>,
    pub(super) reason: Reason,
    /// Until when; null means for ever. A ban whose time is over stays here until it is lifted.
    pub(super) until: Option<Timestamp>,
    /// The user's version, or the policy's when the addresses were banned. Not in lists of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
}

/// A ban to speak.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"cidr": "203.0.113.0/24", "reason": "abuse", "until": "2999-12-31T23:59:59.999Z"}))]
#[schemars(example = json!({
    "user_id": "01890a5d-ac96-774b-bcce-b302099a8057", "reason": "abuse",
    "until": "2999-12-31T23:59:59.999Z",
}))]
pub(super) struct BanRequest {
    /// The user; or give `cidr`.
    #[serde(default)]
    pub(super) user_id: Option<Id<UserId>>,
    /// An IP address or a network.
    #[serde(default)]
    pub(super) cidr: Option<Network>,
    pub(super) reason: Reason,
    /// Until when; for ever if absent.
    #[serde(default)]
    pub(super) until: Option<Timestamp>,
}

pub(super) fn written(view: &AddressBanView) -> Written {
    Written { version: view.version, position: view.position }
}

pub(super) fn from_view(view: AddressBanView) -> BanBody {
    of_network(view.ban_id, &view.cidr, view.reason, view.until, view.version)
}

pub(super) fn of_network(
    id: BanId,
    cidr: &ipnet::IpNet,
    reason: Reason,
    until: Option<Timestamp>,
    version: u64,
) -> BanBody {
    let (cidr, version) = (Some(cidr.to_string()), Some(version));
    BanBody { id, user_id: None, cidr, reason, until, version }
}

pub(super) fn of_user(
    user_id: UserId,
    reason: Reason,
    until: Option<Timestamp>,
    version: Option<u64>,
) -> BanBody {
    BanBody { id: BanId::of(user_id), user_id: Some(user_id), cidr: None, reason, until, version }
}
