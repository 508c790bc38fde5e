//! What a shop and a payment provider say to each other.
//!
//! | module | question |
//! |---|---|
//! | [`wire`] | what goes over the wire? |
//! | [`client`] | how does the shop ask a provider? |
//! | [`webhook`] | how does a provider tell the shop, and how is that believed? |
//!
//! The sandbox is written with the same types, which keeps both ends from drifting apart.

pub mod client;
pub mod webhook;
pub mod wire;

pub use client::HttpProvider;
