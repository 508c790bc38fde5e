use domain::EmailAddress;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The password of today, and another one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"current": "anything", "new": "another quite long password"}))]
pub(super) struct ChangePassword {
    #[schemars(extend("format" = "password"))]
    pub(super) current: String,
    /// 8 to 128 characters, not a common one.
    #[schemars(extend("format" = "password"))]
    pub(super) new: String,
}

/// Whose password is to be another one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"email": "ada@example.com"}))]
pub(super) struct AskPasswordReset {
    #[serde(deserialize_with = "EmailAddress::read_of_account")]
    pub(super) email: EmailAddress,
}

/// What came by mail, and another password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"token": "anything", "new": "another quite long password"}))]
pub(super) struct ResetPassword {
    pub(super) token: String,
    /// 8 to 128 characters, not a common one.
    #[schemars(extend("format" = "password"))]
    pub(super) new: String,
}

/// What came by mail.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"token": "anything"}))]
pub(super) struct VerifyEmail {
    pub(super) token: String,
}
