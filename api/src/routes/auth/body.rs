use crate::routes::users;
use domain::{EmailAddress, Locale, Name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to sign up with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    #[schema(value_type = String, format = Email)]
    pub(super) email: EmailAddress,
    /// 8 to 128 characters, not a common one.
    #[schema(value_type = String, format = Password)]
    pub(super) password: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) name: Option<Name>,
    /// `en` or `zh`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) locale: Option<Locale>,
}

/// What to sign in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    #[schema(value_type = String, format = Email)]
    pub(super) email: EmailAddress,
    #[schema(value_type = String, format = Password)]
    pub(super) password: String,
}

/// The refresh token to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    pub(super) refresh_token: String,
}

/// Tokens for a session.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    pub(super) user: users::UserBody,
    pub(super) access_token: String,
    /// Always `Bearer`.
    pub(super) token_type: &'static str,
    /// Seconds.
    pub(super) expires_in: i64,
    pub(super) refresh_token: String,
}
