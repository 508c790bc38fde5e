use crate::rows::Row;
use domain::user::{Ban, BanReason, User};
use domain::{Locale, Position, Profile, RoleName, Sealed, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A user with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The stream's id.
    pub user_id: UserId,
    /// A small positive number for people and old clients.
    pub number: i32,
    /// Who they are; the vault opens it.
    pub profile: Sealed<Profile>,
    /// The language we write to them in.
    pub locale: Locale,
    /// The granted roles, sorted.
    pub roles: BTreeSet<RoleName>,
    /// The ban, also when it has lapsed: see [`BanView::is_in_force`].
    pub ban: Option<BanView>,
    /// When they registered.
    pub created_at: Timestamp,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied.
    pub position: Position,
}

impl UserView {
    /// The row that a user's state is shown by; none without an account.
    #[must_use]
    pub fn of(
        user_id: UserId,
        user: &User,
        created_at: Timestamp,
        version: u64,
        position: Position,
    ) -> Option<Self> {
        let ban = user.ban.clone().map(|Ban { reason, until }| BanView { reason, until });
        Some(Self {
            user_id,
            number: user.number?,
            profile: user.profile.clone()?,
            locale: user.locale.clone()?,
            roles: user.roles.clone(),
            ban,
            created_at,
            version,
            position,
        })
    }
}

/// A ban of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanView {
    /// Why; the vault opens it, until the user is erased.
    pub reason: BanReason,
    /// Until when; for ever if absent.
    pub until: Option<Timestamp>,
}

impl BanView {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Row for UserView {
    type Key = UserId;
    const TABLE: &'static str = "users";
    const KEY: (&'static str, &'static str) = ("user_id", "uuid");
    const COLUMNS: &'static str =
        "user_id, number, profile, locale, roles, ban, created_at, version, position";

    fn key(&self) -> UserId {
        self.user_id
    }
}
