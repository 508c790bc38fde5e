//! What was decided lately, to see what other rules would have said.

use super::Caller;
use crate::http::RequestPath;
use axum::http::Method;
use domain::RoleName;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// The decisions that are remembered. More only push out the oldest.
const MAX_DECISIONS: usize = 10_000;

/// A request that was judged: by whom, not by which person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecentDecision {
    /// The roles of who sent it; absent when they had not signed in.
    pub roles: Option<Arc<BTreeSet<RoleName>>>,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: RequestPath,
}

#[cfg(test)]
impl RecentDecision {
    /// That somebody who had not signed in asked for a path.
    pub(crate) fn of_a_stranger(path: &str) -> Self {
        let path = RequestPath::parse(path).expect("a canonical path");
        Self { roles: None, method: Method::GET, path }
    }
}

/// The newest decisions of this process, in memory only.
#[derive(Debug, Default)]
pub struct RecentDecisions(Mutex<VecDeque<RecentDecision>>);

impl RecentDecisions {
    /// Remembers a decision, unless another is being remembered at this moment: no request waits for that.
    pub(super) fn note(&self, caller: &Caller, method: &Method, path: &RequestPath) {
        let Ok(mut decisions) = self.0.try_lock() else { return };
        if decisions.len() >= MAX_DECISIONS {
            decisions.pop_front();
        }
        let roles = match caller {
            Caller::Anonymous => None,
            Caller::Member(member) => Some(Arc::clone(&member.roles)),
        };
        decisions.push_back(RecentDecision { roles, method: method.clone(), path: path.clone() });
    }

    /// Each with how often it was made, in no order.
    #[must_use]
    pub fn counted(&self) -> HashMap<RecentDecision, u64> {
        let decisions = self.0.lock().map(|held| held.clone()).unwrap_or_default();
        let mut counted = HashMap::new();
        for decision in decisions {
            *counted.entry(decision).or_default() += 1;
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_decisions_are_counted_and_the_oldest_forgotten() {
        let recent = RecentDecisions::default();
        let path = |raw: &str| RequestPath::parse(raw).expect("a canonical path");
        recent.note(&Caller::Anonymous, &Method::GET, &path("/old"));
        for _ in 0..MAX_DECISIONS {
            recent.note(&Caller::Anonymous, &Method::GET, &path("/new"));
        }
        let counted = recent.counted();
        let newest = RecentDecision { roles: None, method: Method::GET, path: path("/new") };
        assert_eq!(counted, HashMap::from([(newest, MAX_DECISIONS as u64)]));
    }
}
