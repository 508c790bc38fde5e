use crate::application::App;
use crate::application::users::reason_of_ban;
use crate::http::Problem;
use crate::openapi::schema::answers;
use crate::routes::users::{self, UserBody};
use domain::user::BanReason;
use domain::{Reason, RoleName, Timestamp, UserId};
use projections::users::UserView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(StaffUserBody);

/// A user as staff sees them. E-mail and name are null once the user is erased.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StaffUserBody {
    #[serde(flatten)]
    pub(super) user: UserBody,
    /// The ban that was last spoken and not lifted; its time may be over.
    pub(super) ban: Option<UserBanBody>,
}

/// Why somebody may not do anything.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UserBanBody {
    /// Null once the user is erased.
    pub(super) reason: Option<Reason>,
    /// Until when; null means for ever.
    pub(super) until: Option<Timestamp>,
}

/// A role to grant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"role": "staff"}))]
pub(super) struct GrantRole {
    pub(super) role: RoleName,
}

/// A ban to speak.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"reason": "abuse", "until": "2999-12-31T23:59:59.999Z"}))]
pub(super) struct BanUser {
    pub(super) reason: Reason,
    /// Until when; for ever if absent.
    #[serde(default)]
    pub(super) until: Option<Timestamp>,
}

pub(super) async fn from_view(app: &App, mut view: UserView) -> Result<StaffUserBody, Problem> {
    let ban = match view.ban.take() {
        Some(ban) => Some(ban_body(app, view.user_id, ban.reason, ban.until).await?),
        None => None,
    };
    Ok(StaffUserBody { user: users::from_view(app, view).await?, ban })
}

pub(super) async fn ban_body(
    app: &App,
    user_id: UserId,
    reason: BanReason,
    until: Option<Timestamp>,
) -> Result<UserBanBody, Problem> {
    Ok(UserBanBody { reason: reason_of_ban(app, user_id, reason).await?, until })
}
