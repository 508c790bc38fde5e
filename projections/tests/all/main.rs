//! The read side on a real PostgreSQL: given events / then rows, and the runner's promises.

mod audit;
mod batches;
mod carts;
mod catalogue;
mod checkpoints;
mod histories;
mod ordering;
mod orders;
mod permissions;
mod poison;
mod rebuild;
mod rebuild_faults;
mod runner;
mod search;
mod sessions;
mod sorting;
mod states;
mod support;
mod tally;
mod trail;
mod users;
