use crate::openapi::schema::answers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(SecondFactorBody);

/// What a second factor is set up with. It is never shown again.
#[derive(Serialize, JsonSchema)]
pub(super) struct SecondFactorBody {
    /// In base32, to be typed into an authenticator.
    pub(super) secret: String,
    /// The same as an authenticator reads it from a picture.
    pub(super) uri: String,
    /// Each stands for a code once, when there is nothing to make codes with.
    pub(super) recovery_codes: Vec<String>,
}

/// A code that shows that the authenticator has it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"code": "123456"}))]
pub(super) struct ConfirmBody {
    /// Six digits.
    pub(super) code: String,
}
