//! The documents say what the code says.

#[path = "../support/generated.rs"]
mod generated;

mod docs;
mod openapi;
mod permissions;
mod statements;
mod workspace;
