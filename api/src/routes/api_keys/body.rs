use crate::application::api_keys::{Issued, NewApiKey, ShownApiKey};
use crate::http::Problem;
use crate::openapi::schema::answers;
use domain::user::MAX_ROLES;
use domain::{ApiKeyId, Name, RoleName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

answers!(ApiKeyBody, ApiKeysBody);

/// A key.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKeyBody {
    pub(super) id: ApiKeyId,
    /// What its owner calls it; null after their erasure.
    pub(super) name: Option<Name>,
    /// The roles that it acts with, as far as its owner has them.
    pub(super) scopes: BTreeSet<RoleName>,
    /// Until when it is accepted.
    pub(super) expires_at: Timestamp,
    /// When it was last used, to a minute or so; null if it was not.
    pub(super) last_used_at: Option<Timestamp>,
    /// The key itself, to be sent as `Authorization: Bearer`. It is shown once, when it is given out or rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

/// All keys of the caller.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKeysBody {
    pub(super) items: Vec<ApiKeyBody>,
    /// Always null: there are few.
    pub(super) next_cursor: Option<String>,
}

impl From<ShownApiKey> for ApiKeyBody {
    fn from(shown: ShownApiKey) -> Self {
        let ShownApiKey { key_id, key, name, last_used_at } = shown;
        let (scopes, expires_at) = (key.scopes, key.expires_at);
        Self { id: key_id, name, scopes, expires_at, last_used_at, key: None }
    }
}

impl From<Issued> for ApiKeyBody {
    fn from(issued: Issued) -> Self {
        Self { key: issued.text, ..issued.shown.into() }
    }
}

/// What to give a key out for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"name": "reports", "scopes": ["customer"], "expires_at": "2027-06-30T00:00:00.000Z"}))]
pub(super) struct IssueBody {
    /// What to call it.
    name: Name,
    /// The roles that it acts with: the caller has them.
    #[schemars(length(min = 1, max = MAX_ROLES))]
    scopes: BTreeSet<RoleName>,
    /// Until when it is accepted: 366 days at most; 90 days when absent.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

impl TryFrom<IssueBody> for NewApiKey {
    type Error = Problem;

    fn try_from(body: IssueBody) -> Result<Self, Problem> {
        let IssueBody { name, scopes, expires_at } = body;
        if !(1..=MAX_ROLES).contains(&scopes.len()) {
            let expected = format!("expected 1 to {MAX_ROLES} roles");
            return Err(Problem::invalid_field("/scopes", expected));
        }
        Ok(Self { name, scopes, expires_at })
    }
}
