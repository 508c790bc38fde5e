use crate::openapi::schema::answers;
use domain::RoleName;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

answers!(SecondFactorRolesBody);

/// The roles that want a second factor.
#[derive(Serialize, JsonSchema)]
pub(super) struct SecondFactorRolesBody {
    pub(super) items: BTreeSet<RoleName>,
    /// Always null: there are few.
    pub(super) next_cursor: Option<String>,
}
