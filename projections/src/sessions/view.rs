use crate::rows::Row;
use domain::{Device, Position, Sealed, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The stream's id.
    pub session_id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// How often all sessions of the user had ended when it began, or when it was last kept.
    pub epoch: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last refreshed, or began.
    pub seen_at: Timestamp,
    /// When it ends if it is not refreshed.
    pub expires_at: Timestamp,
    /// What they signed in with, if it is known; the vault opens it.
    pub device: Option<Sealed<Device>>,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied.
    pub position: Position,
}

impl Row for SessionView {
    type Key = SessionId;
    const TABLE: &'static str = "sessions";
    const KEY: (&'static str, &'static str) = ("session_id", "uuid");
    const COLUMNS: &'static str = "session_id, user_id, epoch, started_at, seen_at, expires_at, \
                                   device, version, position";

    fn key(&self) -> SessionId {
        self.session_id
    }
}
