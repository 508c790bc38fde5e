use crate::application::second_factor::Proof;
use crate::application::sessions::ShownSession;
use crate::http::Problem;
use crate::openapi::schema::answers;
use domain::{SessionId, Text, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;

answers!(SessionBody);

/// Where the caller is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionBody {
    pub(super) id: SessionId,
    /// Whether this is the session that asks.
    pub(super) current: bool,
    pub(super) created_at: Timestamp,
    /// When it was last refreshed.
    pub(super) seen_at: Timestamp,
    /// When it ends if it is not refreshed.
    pub(super) expires_at: Timestamp,
    /// The address that they signed in from; null where it is not known.
    pub(super) address: Option<IpAddr>,
    /// What their browser or app called itself; null where it did not.
    pub(super) user_agent: Option<Text>,
}

impl SessionBody {
    pub(super) fn new(shown: ShownSession, asking: SessionId) -> Self {
        let ShownSession { view, device } = shown;
        Self {
            id: view.session_id,
            current: view.session_id == asking,
            created_at: view.started_at,
            seen_at: view.seen_at,
            expires_at: view.expires_at,
            address: device.as_ref().map(|device| device.address),
            user_agent: device.and_then(|device| device.agent),
        }
    }
}

/// What one proves oneself with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"password": "anything"}))]
#[schemars(example = json!({"code": "123456"}))]
pub(super) struct StepUp {
    /// The password, where no second factor is asked for.
    #[serde(default)]
    #[schemars(extend("format" = "password"))]
    password: Option<String>,
    /// A code of the second factor; or a recovery code.
    #[serde(default)]
    code: Option<String>,
}

impl StepUp {
    pub(super) fn proof(self) -> Result<Proof, Problem> {
        match self {
            Self { password: Some(password), code: None } => Ok(Proof::Password(password)),
            Self { password: None, code: Some(code) } => Ok(Proof::Code(code)),
            Self { password: Some(_), code: Some(_) } | Self { password: None, code: None } => {
                Err(Problem::invalid_field("/code", "expected either a password or a code"))
            }
        }
    }
}
