//! The laboratory in its short form.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod chaos;
