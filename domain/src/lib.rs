//! What the shop decides, as pure functions over events.
//!
//! **Guarantee.** Nothing in this crate performs I/O, reads a clock or draws a random number: the
//! same state, command and [`Facts`] always give the same events or the same rejection. State
//! changes only in `apply`. Whatever the journal holds can be decoded here, for ever.
//!
//! Every aggregate is a folder of the same five files:
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the rules in prose |
//! | `events.rs` | the facts: persisted, only ever added to |
//! | `state.rs` | the state and `apply`, an exhaustive match |
//! | `decide.rs` | commands, rejections and the decision |
//! | `tests.rs` | given events / when command / then events, one test a rule |
//!
//! The next aggregate is a copy of that shape and one line in [`AGGREGATES`].

mod email;
mod event;
mod facts;
mod id_map;
mod ids;
mod money;
mod personal;
mod position;
mod recorded;
mod rejection;
mod schema;
mod text;
mod timestamp;
mod values;

#[cfg(test)]
mod testing;

pub mod cart;
pub mod locks;
pub mod order;
pub mod payment;
pub mod policy;
pub mod product;
pub mod public;
pub mod session;
pub mod stock;
pub mod tag;
pub mod user;

pub use email::EmailAddress;
pub use event::{
    AggregateEvents, BEYOND_THIS_BUILD, DecodeError, EventTypes, OlderEvent, OlderShape,
    Undecodable, decode_event, decode_parsed, encode_event, is_event_name, is_every_version_before,
    read_older,
};
pub use facts::Facts;
pub use id_map::IdMap;
pub use ids::{
    ApiKeyId, BanId, CartId, OrderId, PaymentId, ProductId, PublicPathId, RuleId, SessionId, UserId,
};
pub use money::{Currency, InvalidMoney, Money};
pub use personal::{
    Address, CountryCode, Device, GivenAddress, OrderContact, Personal, Profile, Sealed,
    SealedSecret, SecondFactorSecret,
};
pub use position::{NoPosition, Position};
pub use public::{PublicMember, PublicShape};
pub use recorded::{
    Cursor, EventSource, Filter, Identified, MAX_BATCH_BYTES, Metadata, RecordedEvent, SourceError,
    StreamKey, batch_is_full,
};
pub use rejection::{Rejection, RejectionKind};
pub use schema::{EventSchema, event_schemas, public_schema};
pub use tag::Tag;
pub use text::{FROM_OUTSIDE, compatible, pattern_from_outside};
pub use timestamp::Timestamp;
pub use values::{
    ApiKeyHash, Description, InvalidValue, Locale, Name, Note, Quantity, Reason, RoleName, Sku,
    Slug, Text,
};

/// Names the code that folds events into states: a digest of this crate's sources without comments and
/// layout, so that nobody has to remember it. A state that other code folded is not taken for one of ours; a change that
/// alters no state costs no more than folding once.
pub const STATE_VERSION: &str = env!("GOMALL_STATE_VERSION");

/// Every aggregate's events: what the journal may hold, and what the catalogue and the schemas
/// are generated from.
pub const AGGREGATES: &[AggregateEvents] = &[
    AggregateEvents::of::<product::Product>(),
    AggregateEvents::of::<stock::StockItem>(),
    AggregateEvents::of::<cart::Cart>(),
    AggregateEvents::of::<order::Order>(),
    AggregateEvents::of::<payment::Payment>(),
    AggregateEvents::of::<user::User>(),
    AggregateEvents::of::<session::Session>(),
    AggregateEvents::of::<policy::Policy>(),
];
