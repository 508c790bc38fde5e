//! What the aggregates' tests share: the frame's given/when/then at a fixed moment, and short names
//! for values that are valid.

use crate::{
    Currency, Facts, Money, Name, Quantity, Reason, RoleName, Sealed, Sku, Slug, Text, Timestamp,
};
use cqrs_es::Aggregate;
use cqrs_es::test::{AggregateTestExecutor, TestFramework};
use uuid::Uuid;

/// `seconds` after the moment at which the tests play.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_795_000_000 + seconds)
}

pub(crate) fn facts_at(seconds: i64) -> Facts {
    Facts { now: at(seconds) }
}

/// Given these events, at second 0.
pub(crate) fn given<A: Aggregate<Services = Facts>>(
    events: Vec<A::Event>,
) -> AggregateTestExecutor<A> {
    given_at(0, events)
}

/// Given these events, at the given second.
pub(crate) fn given_at<A: Aggregate<Services = Facts>>(
    seconds: i64,
    events: Vec<A::Event>,
) -> AggregateTestExecutor<A> {
    TestFramework::with(facts_at(seconds)).given(events)
}

/// The state that these events make.
pub(crate) fn state<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> A {
    let mut state = A::default();
    events.into_iter().for_each(|event| state.apply(event));
    state
}

/// The id of whatever kind is asked for.
pub(crate) fn id<Id: From<Uuid>>(number: u128) -> Id {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number).into()
}

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD).expect("a valid amount")
}

pub(crate) fn eur(cents: i64) -> Money {
    Money::new(cents, Currency::parse("EUR").expect("a currency")).expect("a valid amount")
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("a valid SKU")
}

pub(crate) fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("a valid slug")
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a valid name")
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(text).expect("a valid text")
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("a valid reason")
}

pub(crate) fn role(text: &str) -> RoleName {
    RoleName::parse(text).expect("a valid role")
}

pub(crate) fn quantity(pieces: u32) -> Quantity {
    Quantity::new(pieces).expect("a valid quantity")
}

pub(crate) fn sealed<T>(ciphertext: &str) -> Sealed<T> {
    Sealed::from_ciphertext(ciphertext.to_owned())
}
