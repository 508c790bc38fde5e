use crate::application::bans::{Ban, Banned, NewBan};
use crate::http::{FieldError, Id, Problem};
use crate::openapi::schema::answers;
use crate::routes::admin::network::Network;
use domain::{BanId, Reason, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;

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
    /// Null once the user is erased.
    pub(super) reason: Option<Reason>,
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

impl From<Ban> for BanBody {
    fn from(ban: Ban) -> Self {
        let Ban { ban_id, banned, reason, until, version } = ban;
        let (user_id, cidr) = match banned {
            Banned::User(user_id) => (Some(user_id), None),
            Banned::Addresses(cidr) => (None, Some(cidr.to_string())),
        };
        Self { id: ban_id, user_id, cidr, reason, until, version }
    }
}

impl BanRequest {
    /// Who is meant: a user, or whoever comes from some addresses.
    pub(super) fn checked(self, asked_from: IpAddr) -> Result<NewBan, Problem> {
        let Self { user_id, cidr, reason, until } = self;
        let banned = match (user_id, cidr) {
            (Some(Id(user_id)), None) => Banned::User(user_id),
            (None, Some(Network(cidr))) => Banned::Addresses(cidr),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_field("/cidr", "give user_id or cidr, not both"));
            }
            (None, None) => {
                let missing = FieldError::at("/user_id", "missing_field", "give user_id or cidr");
                return Err(Problem::field(missing));
            }
        };
        Ok(NewBan { banned, reason, until, asked_from })
    }
}
