//! The edge of the shop, what can be done through it, and the place where its parts are wired together.
//!
//! **Guarantee.** No request reaches a handler that the permission rules in force do not allow;
//! whatever a handler takes from a request has been checked; every refusal is a problem document
//! with a stable code, and nothing that failed is ever a 2xx.
//!
//! | module | question it answers |
//! |---|---|
//! | [`http`] | what do the contract's conventions look like as types? |
//! | [`guard`] | may this request come in, and who sends it? |
//! | [`auth`] | how does somebody prove who they are? |
//! | [`limits`] | how much may one client ask? |
//! | [`security`] | who was refused, and from where was something changed? |
//! | [`edge`] | in which order does all that happen? |
//! | [`routes`] | what can be asked, and what is answered? |
//! | [`openapi`] | how is that described? |
//! | [`telemetry`] | what can be seen of it? |
//! | [`server`] | how are connections served and ended? |
//! | [`application`] | what can be done, whichever edge asks? |
//! | [`shop`] | how do the parts of a shop fit together? |
//! | [`settings`], [`mod@stop`] | how is a process told what to do, and to end? |
//!
//! The next route is a function in a module of [`routes`]; the recipe is there.

pub mod access;
pub mod application;
pub mod auth;
pub mod database;
mod dead_letters;
pub mod directory;
pub mod edge;
pub mod failures;
pub mod guard;
pub mod history;
pub mod http;
pub mod invention;
pub mod key_uses;
pub mod limits;
pub mod openapi;
pub mod pools;
pub mod progress;
pub mod readiness;
pub mod routes;
pub mod security;
pub mod seed;
pub mod server;
pub mod settings;
pub mod shop;
pub mod stop;
pub mod supervisor;
pub mod telemetry;
