//! Who may do what: permission rules and public paths over canonical paths, and banned addresses.
//!
//! * A rule allows or denies some roles some methods on the paths that match its pattern. Deny
//!   wins, a public path needs no permission, and what no rule allows is refused.
//! * Rules have no order. HEAD follows GET.
//! * A pattern is a regular expression of at most [`MAX_PATTERN_CHARS`] characters that compiles
//!   within a size limit; it is anchored by us, so it always speaks about the whole path. One that matches no
//!   canonical path would say nothing for ever and is refused.
//! * Patterns that are more than segments in which one stretch varies have a bound on their sum, and so has the time
//!   to find out whether a change leaves a way back.
//! * At most [`MAX_RULES`] rules, [`MAX_PUBLIC_PATHS`] public paths and [`MAX_BANS`] banned networks.
//! * Nobody who can repair the policy is locked out: no change may take a [`Lifeline`] from an
//!   administrator, whatever other roles they have. The lifelines come with the command, because this
//!   crate knows no routes, and so do the administrators, because the policy knows no users.
//! * A lifeline about one entry is about every id that there may ever be: a pattern that tells ids apart
//!   counts against whoever needs all of them. So no rule is immortal, not even one that is added later.
//! * A role may want a second factor: it then counts only for whoever has proved themselves with one. An
//!   administrator who has none yet must be able to set one up.
//! * A ban never holds the address that it is asked for from.

mod address_bans;
mod canonical;
mod compiled;
mod decide;
mod events;
mod matcher;
mod pattern;
mod rejection;
mod roles;
mod selectors;
mod shape;
mod state;
#[cfg(test)]
mod tests;
mod verdict;
mod way_back;

pub use canonical::{CanonicalPath, MAX_PATH_CHARS, MalformedPath, canonical_path};
pub use compiled::{CompiledPolicy, PolicyTooBig};
pub use decide::{MAX_METHODS, MAX_NOTE_CHARS, MAX_ROLES, PolicyChange, PolicyCommand};
pub use events::{Effect, MethodSelector, PolicyEvent, RoleSelector, Rule};
pub use pattern::MAX_PATTERN_CHARS;
pub use rejection::PolicyRejection;
pub use selectors::parse_network;
pub use shape::{Overlap, PathShape, overlaps};
pub use state::{
    AddressBan, MAX_BANS, MAX_PUBLIC_PATHS, MAX_RULES, MAX_SECOND_FACTOR_ROLES, Policy, PublicPath,
    VersionedRule,
};
pub use verdict::{Caller, Considered, Entry, Explanation, Grant, Verdict};
pub use way_back::{Asking, Lifeline, TooInvolved, WayBack, lets_repair};
