//! The edge as a whole.

mod access;
mod answers;
mod harness;
mod security;
