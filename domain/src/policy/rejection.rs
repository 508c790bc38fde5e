use super::decide::{
    MAX_AUTOMATON_KIB, MAX_METHODS, MAX_NOTE_CHARS, MAX_ROLES, MIN_PREFIX_V4, MIN_PREFIX_V6,
};
use super::state::{MAX_BANS, MAX_PUBLIC_PATHS, MAX_RULES, MAX_SECOND_FACTOR_ROLES};
use crate::{Rejection, RejectionKind};

/// Why the policy refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRejection {
    /// There is nothing under this id.
    #[error("there is no such entry in the policy")]
    NotFound,
    /// There is something else under this id.
    #[error("the policy has another entry of this id")]
    AlreadyExists,
    /// The pattern is none that can be matched.
    #[error("the path pattern is not accepted: {reason}")]
    BadPattern {
        /// What is wrong with it.
        reason: String,
    },
    /// A rule names none, or too many roles or methods.
    #[error("1 to {MAX_ROLES} roles and 1 to {MAX_METHODS} methods are named")]
    SelectorsOutOfRange,
    /// The note is too long or holds control characters.
    #[error("a note has at most {MAX_NOTE_CHARS} characters, none of them a control character")]
    BadNote,
    /// There is no room for another rule.
    #[error("there are at most {MAX_RULES} rules")]
    TooManyRules,
    /// The patterns take too much memory together.
    #[error(
        "involved patterns take at most {MAX_AUTOMATON_KIB} KiB together; simpler ones take nothing of it"
    )]
    PatternsTooBig,
    /// There is no room for another public path.
    #[error("there are at most {MAX_PUBLIC_PATHS} public paths")]
    TooManyPublicPaths,
    /// There is no room for another ban.
    #[error("at most {MAX_BANS} networks are banned")]
    TooManyBans,
    /// There is no room for another role that wants a second factor.
    #[error("at most {MAX_SECOND_FACTOR_ROLES} roles want a second factor")]
    TooManySecondFactorRoles,
    /// The network holds too much of the world.
    #[error("a banned network has at least {MIN_PREFIX_V4} bits, in IPv6 {MIN_PREFIX_V6}")]
    NetworkTooWide,
    /// Afterwards an administrator could not undo it, who could have until now.
    #[error("an administrator could not sign in and undo it any more")]
    LastAdministrator,
    /// It takes too long to find out whether administrators could undo it.
    #[error(
        "the rules are too involved to find out whether an administrator could undo it; simplify their patterns"
    )]
    TooInvolved,
    /// Whoever asks would be banned.
    #[error("the network holds the address that you ask from")]
    WouldLockOut,
}

impl Rejection for PolicyRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "policy_entry_exists",
            Self::BadPattern { .. } => "bad_pattern",
            Self::SelectorsOutOfRange => "selectors_out_of_range",
            Self::BadNote => "bad_note",
            Self::TooManyRules => "too_many_rules",
            Self::PatternsTooBig => "patterns_too_big",
            Self::TooManyPublicPaths => "too_many_public_paths",
            Self::TooManyBans => "too_many_bans",
            Self::TooManySecondFactorRoles => "too_many_second_factor_roles",
            Self::NetworkTooWide => "network_too_wide",
            Self::LastAdministrator => "last_administrator",
            Self::TooInvolved => "policy_too_involved",
            Self::WouldLockOut => "would_lock_out",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists | Self::LastAdministrator | Self::WouldLockOut => {
                RejectionKind::Conflict
            }
            Self::BadPattern { .. }
            | Self::SelectorsOutOfRange
            | Self::BadNote
            | Self::TooManyRules
            | Self::PatternsTooBig
            | Self::TooInvolved
            | Self::TooManyPublicPaths
            | Self::TooManyBans
            | Self::TooManySecondFactorRoles
            | Self::NetworkTooWide => RejectionKind::Invalid,
        }
    }
}
