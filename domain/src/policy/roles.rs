//! Roles as small numbers, so that a decision compares no texts.

use super::matcher::ShortText;
use super::{Caller, RoleSelector};
use crate::RoleName;
use std::collections::{BTreeSet, HashMap, btree_set};
use std::hash::BuildHasherDefault;

/// The number of `*`, which everybody has.
pub(super) const EVERYBODY: u32 = 0;
const ANONYMOUS: u32 = 1;
const AUTHENTICATED: u32 = 2;

/// How many roles of a caller are looked at together; few have more.
const AT_ONCE: usize = 8;

/// The roles that rules name.
#[derive(Debug)]
pub(super) struct RoleIds(HashMap<RoleName, u32, BuildHasherDefault<ShortText>>);

impl Default for RoleIds {
    fn default() -> Self {
        let by_nature =
            [(RoleName::ANONYMOUS, ANONYMOUS), (RoleName::AUTHENTICATED, AUTHENTICATED)];
        Self(by_nature.into_iter().map(|(name, id)| (RoleName::known(name), id)).collect())
    }
}

impl RoleIds {
    /// The number of what a rule names; a new one for what none has named yet.
    pub(super) fn give(&mut self, selector: &RoleSelector) -> u32 {
        let RoleSelector::Role(role) = selector else { return EVERYBODY };
        // A policy's bounds keep the roles that it names far below this; a last number would be shared.
        let next = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        *self.0.entry(role.clone()).or_insert(next)
    }

    /// The numbers of the caller's roles, some at a time.
    pub(super) fn of<'a>(&'a self, caller: Caller<'a>) -> CallersRoles<'a> {
        static NONE: BTreeSet<RoleName> = BTreeSet::new();
        let (nature, granted) = match caller {
            Caller::Anonymous => (ANONYMOUS, &NONE),
            Caller::SignedIn(granted) => (AUTHENTICATED, granted),
        };
        CallersRoles { known: self, nature: Some(nature), granted: granted.iter() }
    }
}

/// The roles of a caller that some rule names.
pub(super) struct CallersRoles<'a> {
    known: &'a RoleIds,
    nature: Option<u32>,
    granted: btree_set::Iter<'a, RoleName>,
}

/// Some of them.
pub(super) struct SomeRoles {
    ids: [u32; AT_ONCE],
    count: usize,
}

impl CallersRoles<'_> {
    /// Some that have not been given yet; nothing when all have.
    pub(super) fn next_some(&mut self) -> Option<SomeRoles> {
        let mut some = SomeRoles { ids: [EVERYBODY; AT_ONCE], count: 0 };
        if let Some(nature) = self.nature.take() {
            some.ids[1] = nature;
            some.count = 2;
        }
        while some.count < AT_ONCE {
            let Some(role) = self.granted.next() else { break };
            if let Some(id) = self.known.0.get(role) {
                some.ids[some.count] = *id;
                some.count += 1;
            }
        }
        (some.count > 0).then_some(some)
    }
}

impl SomeRoles {
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }
}
