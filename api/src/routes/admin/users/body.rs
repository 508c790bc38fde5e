use crate::application::App;
use crate::http::Problem;
use crate::routes::schema;
use crate::routes::users::{self, UserBody};
use domain::{Reason, RoleName, Timestamp};
use projections::users::UserView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user as staff sees them. E-mail and name are null once the user is erased.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffUserBody {
    #[serde(flatten)]
    pub(super) user: UserBody,
    /// The ban that was last spoken and not lifted; its time may be over.
    pub(super) ban: Option<UserBanBody>,
}

/// Why somebody may not do anything.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserBanBody {
    #[schema(value_type = String)]
    pub(super) reason: Reason,
    /// Until when; null means for ever.
    #[schema(value_type = Option<schema::Timestamp>)]
    pub(super) until: Option<Timestamp>,
}

/// A role to grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantRole {
    #[schema(value_type = schema::Token)]
    pub(super) role: RoleName,
}

/// A ban to speak.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BanUser {
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    pub(super) reason: Reason,
    /// Until when; for ever if absent.
    #[serde(default)]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub(super) until: Option<Timestamp>,
}

pub(super) async fn from_view(app: &App, mut view: UserView) -> Result<StaffUserBody, Problem> {
    let ban = view.ban.take();
    Ok(StaffUserBody {
        user: users::from_view(app, view).await?,
        ban: ban.map(|ban| UserBanBody { reason: ban.reason, until: ban.until }),
    })
}
