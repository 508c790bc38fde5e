//! The local stack: a private PostgreSQL and a private nats-server with JetStream, for
//! `gomall dev` and for every test, on a machine that has nothing but Rust, a C compiler and a
//! Debian.
//!
//! **The guarantee.** After [`Stack::start`] both servers answer on free ports of loopback, under
//! an unprivileged account, on data that belongs to one owner. However the owner ends (in order,
//! by a panic, by `kill -9`), no server stays behind, and what a durable PostgreSQL has
//! acknowledged is there at the next start. No process that is not a server on our own directory
//! is ever signalled.
//!
//! How: the servers run in process groups of their own, so that Ctrl-C reaches only the owner. A
//! *guardian*, a small shell process, waits for the owner's death and stops them then. Owner and
//! guardian hold the directory's lock together; a new owner starts only when both are gone, stops
//! what even the guardian's own death may have left, and lets PostgreSQL recover.
//!
//! ```no_run
//! # async fn example() -> Result<(), compose::StackError> {
//! use compose::{Stack, StackOptions};
//!
//! let stack = Stack::start(StackOptions::durable(".gomall"), &|line| println!("{line}")).await?;
//! stack.postgres.create_database("gomall").await?;
//! println!("{} {}", stack.postgres.url("gomall"), stack.nats.url());
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Tests share one cluster a run and have a database each ([`testing::TestStack`]); a fault test
//! has a stack of its own ([`testing::private`]), and one about losing nodes a [`NatsCluster`]
//! ([`testing::private_cluster`]).
//!
//! A further server would be a `Kind` in `servers.rs`, its pin in `servers/tools.txt`, a
//! file like `nats.rs`, and a line each in `Stack::start`, `process::SERVED` and `guardian.sh`.

mod cluster;
mod databases;
mod error;
mod guardian;
mod layout;
mod log;
mod nats;
mod nats_users;
mod ports;
mod postgres;
mod privilege;
mod process;
mod servers;
mod stack;
pub mod testing;

pub use cluster::NatsCluster;
pub use error::StackError;
pub use layout::{living_owner, make_data_dir};
pub use nats::Nats;
pub use nats_users::NatsUsers;
pub use postgres::Postgres;
pub use process::ProcessId;
pub use servers::Progress;
pub use stack::{Durability, Owner, Stack, StackOptions};
