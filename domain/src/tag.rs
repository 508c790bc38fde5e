//! What events are found by besides their stream.

use crate::UserId;
use std::fmt;

/// The folded e-mail address of an account.
pub const EMAIL: &str = "email";

/// Who placed an order: `user/<id>`, and `address/<pseudonym>` of the network that it came from.
pub const ORDERED_BY: &str = "ordered_by";

/// By which a decision finds events of streams that it does not know, such as `email:ann@example.com`.
///
/// Which of its names an event has, its type says ([`crate::EventTypes::TAGS`]); the value comes from
/// whoever plans the command, because it may be what the event itself holds sealed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    /// What the value is of; without a colon.
    pub name: &'static str,
    /// The value, in its one spelling.
    pub value: String,
    /// Whose value it is, if it is anybody's: the tag is forgotten with their key.
    pub person_id: Option<UserId>,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.value)
    }
}

impl fmt::Debug for Tag {
    /// Without the value, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.name)
    }
}
