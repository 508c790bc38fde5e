use crate::openapi::schema::answers;
use crate::routes::users;
use domain::{EmailAddress, Locale, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(SignedIn);

/// What to sign up with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"email": "ada@example.com", "password": "a quite long password", "name": "Ada", "locale": "en"}))]
pub(super) struct RegisterBody {
    pub(super) email: EmailAddress,
    /// 8 to 128 characters, not a common one.
    #[schemars(extend("format" = "password"))]
    pub(super) password: String,
    #[serde(default)]
    pub(super) name: Option<Name>,
    /// `en` or `zh`.
    #[serde(default)]
    pub(super) locale: Option<Locale>,
}

/// What to sign in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"email": "ada@example.com", "password": "anything", "code": "123456"}))]
pub(super) struct LoginBody {
    #[serde(deserialize_with = "EmailAddress::read_of_account")]
    pub(super) email: EmailAddress,
    #[schemars(extend("format" = "password"))]
    pub(super) password: String,
    /// A code of the second factor, where one is asked for; or it is sent with the challenge afterwards.
    #[serde(default)]
    pub(super) code: Option<String>,
}

/// What to go on signing in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"challenge": "anything", "code": "123456"}))]
pub(super) struct ChallengeBody {
    /// What the sign-in answered.
    pub(super) challenge: String,
    /// Six digits, or a recovery code.
    pub(super) code: String,
}

/// The refresh token to exchange.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"refresh_token": "anything"}))]
pub(super) struct RefreshBody {
    pub(super) refresh_token: String,
}

/// Tokens for a session.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignedIn {
    pub(super) user: users::UserBody,
    pub(super) access_token: String,
    #[schemars(extend("const" = "Bearer"))]
    pub(super) token_type: &'static str,
    /// Seconds.
    #[schemars(range(min = 1))]
    pub(super) expires_in: i64,
    pub(super) refresh_token: String,
}
