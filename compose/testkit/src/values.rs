//! Short names for values that are valid.

use domain::{Currency, Money, Name, Quantity, Reason, Sku, Slug};
use uuid::Uuid;

/// An id that no other test has.
#[expect(clippy::disallowed_methods, reason = "a test is its own composition root")]
pub fn new_id<Id: From<Uuid>>() -> Id {
    Uuid::now_v7().into()
}

/// An id that is the same each time.
pub fn id<Id: From<Uuid>>(number: u128) -> Id {
    Uuid::from_u128(number).into()
}

/// An amount in US dollars.
pub fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD).expect("tests use valid amounts")
}

/// What names a variant.
pub fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("tests use valid SKUs")
}

/// What names a category.
pub fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("tests use valid slugs")
}

/// Of a person, a product or a variant.
pub fn name(text: &str) -> Name {
    Name::parse(text).expect("tests use valid names")
}

/// Why something is done.
pub fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("tests use valid reasons")
}

/// Pieces.
pub fn quantity(pieces: u32) -> Quantity {
    Quantity::new(pieces).expect("tests use valid quantities")
}
