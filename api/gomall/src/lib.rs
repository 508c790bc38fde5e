//! The one binary, `gomall`: its command line and its roles.
//!
//! | module | question |
//! |---|---|
//! | [`cli`] | what can one process be told to do? |
//! | [`roles`] | how does it do that? |

pub mod cli;
pub mod roles;

pub use roles::main;
