//! What was seen and is not written down yet.

use crate::limits::network;
use domain::{Timestamp, UserId};
use projections::audit::requests::SeenRequest;
use std::collections::HashMap;
use std::net::IpAddr;
use uuid::Uuid;

/// The refusals that wait, those that are alike counted once: what one process writes in a second, a quarter of a
/// megabyte.
const MAX_DENIALS: usize = 500;

/// The same of those of signing in, which nobody who asks for nonsense may hide: more than passwords can be tried in a
/// second, or accounts be braked, of which each has [`MAX_SIGN_INS_OF_ACCOUNT`].
const MAX_SIGN_INS: usize = 2_000;

/// Of one account, of signing in: what comes from further addresses is one row, with the last of them.
const MAX_SIGN_INS_OF_ACCOUNT: usize = 10;

/// Of one address, of each: whoever tries many paths leaves room for others.
const MAX_DENIALS_OF_ADDRESS: usize = 20;

/// The changes that wait. Refusals take none of their places.
const MAX_CHANGES: usize = 500;

/// What was seen since the last write.
#[derive(Default)]
pub(super) struct Waiting {
    denials: HashMap<Alike, SeenRequest>,
    /// How many of them are of an address, those of signing in by themselves.
    of_address: HashMap<(IpAddr, bool), usize>,
    /// How many of them are of signing in, by account.
    of_account: HashMap<String, usize>,
    sign_ins: usize,
    changes: Vec<SeenRequest>,
    noted: u64,
}

/// In what refusals are alike: in everything but when they came.
#[derive(PartialEq, Eq, Hash)]
struct Alike {
    code: Option<&'static str>,
    /// None for many.
    address: Option<IpAddr>,
    user_id: Option<UserId>,
    email_hash: Option<String>,
    method: &'static str,
    path: String,
    rule_id: Option<Uuid>,
    policy_version: u64,
}

impl Waiting {
    /// Takes one more, which tries somebody's password or does not: whether nothing waited, and whether there was room.
    pub(super) fn take(&mut self, request: SeenRequest, tries_a_password: bool) -> (bool, bool) {
        let is_first = self.denials.is_empty() && self.changes.is_empty();
        self.noted += 1;
        let has_room = if request.code.is_some() {
            self.deny(request, tries_a_password)
        } else {
            let has_room = self.changes.len() < MAX_CHANGES;
            if has_room {
                self.changes.push(request);
            }
            has_room
        };
        (is_first, has_room)
    }

    fn deny(&mut self, request: SeenRequest, signs_in: bool) -> bool {
        let mut alike = Alike::of(&request);
        let account = request.email_hash.clone().filter(|_| signs_in);
        let of_account = account.as_ref().and_then(|account| self.of_account.get(account));
        let is_full = of_account.is_some_and(|held| *held >= MAX_SIGN_INS_OF_ACCOUNT);
        if is_full && !self.denials.contains_key(&alike) {
            alike.address = None;
        }
        if let Some(known) = self.denials.get_mut(&alike) {
            let first_at: Timestamp = known.first_at;
            let times = known.times.saturating_add(1);
            *known = SeenRequest { first_at, times, ..request };
            return true;
        }
        let of_address = self.of_address.entry((network(request.address), signs_in)).or_default();
        let (held, most) = match signs_in {
            true => (self.sign_ins, MAX_SIGN_INS),
            false => (self.denials.len() - self.sign_ins, MAX_DENIALS),
        };
        let has_room = held < most && *of_address < MAX_DENIALS_OF_ADDRESS;
        if has_room {
            *of_address += 1;
            self.sign_ins += usize::from(signs_in);
            if let Some(account) = account {
                *self.of_account.entry(account).or_default() += 1;
            }
            self.denials.insert(alike, request);
        }
        has_room
    }

    /// How many were taken since the process began, written down or not.
    pub(super) fn noted(&self) -> u64 {
        self.noted
    }

    /// Gives all of them away, with how many were taken so far.
    pub(super) fn empty(&mut self) -> (Vec<SeenRequest>, u64) {
        self.of_address.clear();
        self.of_account.clear();
        self.sign_ins = 0;
        let mut all = std::mem::take(&mut self.changes);
        all.extend(self.denials.drain().map(|(_, request)| request));
        all.sort_by_key(|request| request.at);
        (all, self.noted)
    }
}

impl Alike {
    fn of(request: &SeenRequest) -> Self {
        Self {
            code: request.code,
            address: Some(network(request.address)),
            user_id: request.user_id,
            email_hash: request.email_hash.clone(),
            method: request.method,
            path: request.path.clone(),
            rule_id: request.rule_id,
            policy_version: request.policy_version,
        }
    }
}
