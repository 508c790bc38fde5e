//! What events are found by besides their stream.

use crate::{Sku, StreamKey, UserId};
use std::fmt;

/// The folded e-mail address of an account.
pub const EMAIL: &str = "email";

/// Who placed an order: `user/<id>`, and `address/<pseudonym>` of the network that it came from.
pub const ORDERED_BY: &str = "ordered_by";

/// The folded SKU of a stock item, whose stream is named by the SKU as it was spelled first.
pub const SKU: &str = "sku";

/// By which a decision finds events of streams that it does not know, such as `email:ann@example.com`.
///
/// Which of its names an event has, its type says ([`crate::EventTypes::TAGS`]); the value comes from
/// whoever plans the command, because it may be what the event itself holds sealed, or from the stream's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    /// What the value is of; without a colon.
    pub name: &'static str,
    /// The value, in its one spelling.
    pub value: String,
    /// Whose value it is, if it is anybody's: the tag is forgotten with their key.
    pub person_id: Option<UserId>,
}

impl Tag {
    /// The tag of a SKU, however it is spelled.
    #[must_use]
    pub fn of_sku(sku: &Sku) -> Self {
        Self { name: SKU, value: sku.folded(), person_id: None }
    }

    /// The tag of this name whose value is in the stream's id, so that no plan has to bring it.
    #[must_use]
    pub fn of_stream(name: &'static str, stream: &StreamKey) -> Option<Self> {
        match name {
            SKU => Sku::parse(&stream.aggregate_id).ok().as_ref().map(Self::of_sku),
            _ => None,
        }
    }
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
