//! The advisory locks of the shop's database, in one place so that no two are the same.
//!
//! PostgreSQL has two spaces of them: one number of 64 bits, or two of 32. Where there are two, the first says
//! what the lock is for and stands here, and the second is the hash of a name. Migrations repeat the numbers; a test
//! compares them. A new lock takes the next number of its space, and never one that was in use before: a
//! build of before may still hold it.

/// Held by whoever appends to the journal, until its transaction ends: orders commits.
pub const APPEND: i64 = 7_366;

/// Held by whoever makes and drops the partitions of `command_outcomes`.
pub const OUTCOMES: i64 = 7_368;

/// Held by the worker of a projection, with the hash of the projection's name.
pub const PROJECTION: i32 = 7_367;

/// Held by whoever rebuilds a projection, with the hash of the projection's name.
pub const REBUILD: i32 = 7_368;

/// Held by the relay, with the hash of the stream's name. It was 7367, where a stream named like a projection would
/// have met the projection's worker.
pub const RELAY: i32 = 7_369;
