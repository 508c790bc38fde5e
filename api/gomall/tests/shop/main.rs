//! A shop as its users meet it.

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod audit;
mod contention;
mod conventions;
mod described;
mod finding;
mod free_text;
mod in_process;
mod journey;
mod money;
mod policy_files;
mod prices;
mod resources;
mod roles;
mod settings;
mod stranger;
mod takeover;
mod text;
mod unpaid;
mod way_in;
