//! What an append that failed means, and what to do about it.

use super::AppendError;
use sqlx::error::DatabaseError;

/// What became of an append that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection is gone: whether the batch is in is open, and the same batch again finds out.
    Lost,
    /// The server undid it because of its data: the command itself is at fault.
    Data,
    /// The server undid it, and will do so again until somebody has seen to it.
    Hopeless(AppendError),
    /// The server undid it because clocks disagree.
    Clock,
    /// The server undid it, and may take it later.
    Passing {
        /// SQLSTATE, to tell the same trouble from another.
        code: String,
        /// Whether another server may be behind a new connection.
        elsewhere: bool,
    },
}

/// `read_only_sql_transaction`: a standby, or a server that somebody has told to take no writes.
pub(super) const READ_ONLY: &str = "25006";

impl Failure {
    /// What an error means on a server that is a standby or not. A standby becomes the primary, or the primary
    /// is found behind the next connection; what a primary was told not to write it will not write.
    pub(super) fn on(error: &sqlx::Error, is_standby: bool) -> Self {
        match Self::of(error) {
            Self::Passing { code, .. } if code == READ_ONLY && !is_standby => {
                Self::Hopeless(AppendError::Refused(code))
            }
            failure => failure,
        }
    }

    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refused) => Self::of_refusal(&**refused),
            _ => Self::Lost,
        }
    }

    fn of_refusal(refused: &dyn DatabaseError) -> Self {
        let code = refused.code().unwrap_or_default();
        match &*code {
            "GM001" => Self::Clock,
            // The row itself is at fault. 23505 is not among them: it is the fence, closed by somebody
            // who got in between.
            "23514" | "23502" => Self::Data,
            data if data.starts_with("22") => Self::Data,
            // The server ends our session, or is going down.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Self::Lost,
            lost if lost.starts_with("08") => Self::Lost,
            // Permissions, objects that are missing, an isolation level that somebody forces on us.
            "42501" | "42883" | "42P01" | "42703" | "3F000" | "25000" | "25001" => {
                Self::Hopeless(AppendError::Refused(code.into_owned()))
            }
            READ_ONLY => Self::Passing { code: code.into_owned(), elsewhere: true },
            // Among them: no space (53100), no memory, too many locks, a time-out (57014), a deadlock.
            _ => Self::Passing { code: code.into_owned(), elsewhere: false },
        }
    }
}
