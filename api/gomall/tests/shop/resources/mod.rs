//! Resource by resource, what it answers: in a file of its folder's name in `api/src/routes`, its own story (given /
//! when a request / then response and events), each refusal with its code, and what it tells the tests of the
//! conventions. What holds for every route is in `conventions`.
//!
//! The next resource is such a file, its `mod`, and a line in `RESOURCES` here, or in that of [`admin`].

pub(crate) mod admin;
mod api_keys;
mod assets;
pub(crate) mod auth;
pub(crate) mod cart;
mod catalogue;
pub(crate) mod checkout;
mod credentials;
mod event_types;
mod events;
mod orders;
mod payments;
mod root;
mod second_factor;
mod sessions;
mod users;
pub(crate) mod webhooks;

use crate::conventions::{Keyed, Scene};
use crate::support::{Answer, Person};
use futures::future::{FutureExt, LocalBoxFuture};
use serde_json::Value;

/// What a resource tells the tests of the conventions, because nobody can tell it from the document.
#[derive(Clone, Copy)]
pub(crate) struct Resource {
    /// One call at least of each of its operations that takes a key.
    pub(crate) keyed: for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Vec<Keyed>>,
    /// Operations that take a key and keep no outcome under it, each with the reason.
    pub(crate) keeps_none: &'static [(&'static str, &'static str)],
    /// Values out of range in a way that the document cannot say.
    pub(crate) ranges: fn() -> Vec<OutOfRange>,
    /// Members of which the domain keeps a bound: it has codes of its own, and is asked after what the path names.
    /// Operation, member, status and code.
    pub(crate) of_the_domain: &'static [(&'static str, &'static str, u16, &'static str)],
    /// Members that exclude each other and of which one is needed: operation, the one, the other and what that may
    /// be. The one is a user's id.
    pub(crate) either: &'static [(&'static str, &'static str, (&'static str, &'static str))],
    /// One of each thing that can be read on its own.
    pub(crate) things: for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Vec<Thing>>,
}

impl Resource {
    /// Nothing that the document does not say.
    pub(crate) const NONE: Self = Self {
        keyed: |_| async { vec![] }.boxed_local(),
        keeps_none: &[],
        ranges: Vec::new,
        of_the_domain: &[],
        either: &[],
        things: |_| async { vec![] }.boxed_local(),
    };
}

/// Values that a member of a good body does not take. The status is 422; a code of the conventions names the
/// member, a code of the domain need not.
pub(crate) struct OutOfRange {
    pub(crate) operation: &'static str,
    pub(crate) member: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) code: &'static str,
}

/// None of these values may be in the place of the member.
pub(crate) fn out_of_range<V: Into<Value>>(
    operation: &'static str,
    member: &'static str,
    values: impl IntoIterator<Item = V>,
    code: &'static str,
) -> OutOfRange {
    let values = values.into_iter().map(Into::into).collect();
    OutOfRange { operation, member, values, code }
}

/// Something that can be read on its own.
pub(crate) struct Thing {
    /// The path that shows it, as the document has it.
    pub(crate) pattern: &'static str,
    /// The same with what it names.
    pub(crate) path: String,
    /// Who may read it.
    pub(crate) person: Person,
    /// What its last change answered.
    pub(crate) changed: Answer,
}

impl Thing {
    /// `id` stands in the place of the path's parameter, if it has one.
    pub(crate) fn new(person: &Person, pattern: &'static str, id: &str, changed: Answer) -> Self {
        assert!(changed.status.is_success(), "{pattern}: {}", changed.text);
        let path = pattern.replace("{id}", id);
        Self { pattern, path, person: person.clone(), changed }
    }
}

/// The resources that are not staff's and tell something.
const RESOURCES: &[Resource] = &[
    api_keys::RESOURCE,
    auth::RESOURCE,
    cart::RESOURCE,
    catalogue::RESOURCE,
    checkout::RESOURCE,
    credentials::RESOURCE,
    orders::RESOURCE,
    payments::RESOURCE,
    second_factor::RESOURCE,
    sessions::RESOURCE,
    users::RESOURCE,
];

/// All that tell something.
pub(crate) fn all() -> impl Iterator<Item = &'static Resource> {
    RESOURCES.iter().chain(admin::RESOURCES)
}
