//! Who asks, and what the policy says to it.

use super::RoleSelector;
use crate::{PublicPathId, RoleName, RuleId};
use std::collections::BTreeSet;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Somebody without a token; has the role `anonymous` only.
    Anonymous,
    /// Somebody with a token; has the role `authenticated` and those that were granted.
    SignedIn(&'a BTreeSet<RoleName>),
}

impl<'a> Caller<'a> {
    /// The caller that a question names by roles alone: no one in particular with `anonymous`
    /// among them, else somebody who signed in.
    #[must_use]
    pub fn with_roles(roles: &'a BTreeSet<RoleName>) -> Self {
        if roles.iter().any(|role| role.as_str() == RoleName::ANONYMOUS) {
            Self::Anonymous
        } else {
            Self::SignedIn(roles)
        }
    }

    pub(super) fn is_meant_by(self, selector: &RoleSelector) -> bool {
        match (selector, self) {
            (RoleSelector::Any, _) => true,
            (RoleSelector::Role(role), Self::Anonymous) => role.as_str() == RoleName::ANONYMOUS,
            (RoleSelector::Role(role), Self::SignedIn(roles)) => {
                role.as_str() == RoleName::AUTHENTICATED || roles.contains(role)
            }
        }
    }
}

/// What the policy says about a request, and why. Of several entries that say the same, the one
/// with the lowest id is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Allowed {
        /// What lets it through.
        by: Grant,
    },
    /// It may not.
    Denied {
        /// The deny rule; absent when nothing allows the request.
        by: Option<RuleId>,
    },
}

impl Verdict {
    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// What lets a request through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// An allow rule.
    Rule(RuleId),
    /// A public path.
    PublicPath(PublicPathId),
}

/// A verdict with everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// Every rule and public path, in the order in which they count: deny rules, public paths,
    /// allow rules; each by id.
    pub considered: Vec<Considered>,
}

/// One rule or public path, and what of it fits the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Considered {
    /// The rule or public path.
    pub entry: Entry,
    /// Whether the caller has one of its roles; a public path is about everybody.
    pub role_matches: bool,
    /// Whether the method is one of its methods.
    pub method_matches: bool,
    /// Whether its pattern matches the path.
    pub path_matches: bool,
}

impl Considered {
    /// Whether it is about the request.
    #[must_use]
    pub fn matches(self) -> bool {
        self.role_matches && self.method_matches && self.path_matches
    }
}

/// An entry of the policy, in the order in which they count; those of one kind by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A rule that refuses.
    Deny(RuleId),
    /// A path that needs no permission.
    PublicPath(PublicPathId),
    /// A rule that lets through.
    Allow(RuleId),
}
