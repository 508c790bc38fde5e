//! The write side: how commands become events, exactly once.
//!
//! **Guarantee.** A command that was acknowledged is in the journal, whole and once, whatever
//! crashed; a command that was refused has changed nothing; every decision was made on exactly the
//! events that precede its own.
//!
//! | module | question it answers |
//! |---|---|
//! | [`journal`] | how are events appended and read? |
//! | [`bus`] | how does a command reach its aggregates? |
//! | [`counters`] | how often did what happen? |
//! | [`vault`] | who can read personal data, and for how long? |
//! | [`checkout`] | how does a cart become an order? |
//! | [`payments`] | how is an order paid, also across a crash? |
//! | [`registration`] | how does somebody become a user, and whose is an e-mail address? |
//! | [`skus`] | which SKUs are taken, and how are they spelled? |
//!
//! A new command handler is not needed for a new aggregate: implement it in `domain` and call
//! [`bus::Bus::execute`] with a [`bus::Plan`].

pub mod bus;
pub mod checkout;
pub mod counters;
pub mod journal;
pub mod numbers;
pub mod payments;
pub mod registration;
pub mod skus;
pub mod vault;

/// The numbered SQL of `migrations/`, compiled in.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
