//! The kit for whoever follows the journal.
//!
//! Read models, processes, the relay and the mails have in common that they go on after a checkpoint, in order,
//! one of all processes at a time, whatever fails. What they share is here, once:
//!
//! | module | question |
//! |---|---|
//! | [`elections`] | which of all processes does it? |
//! | [`dead_letters`] | what becomes of an event that cannot be taken in, and of those behind it? |
//! | [`process`] | how does something happen later, because of an event? |
//! | [`backoff`] | how long is the pause after a failure? |
//! | [`patience`] | how long is an answer of the database waited for? |
//! | [`position`] | where does a row say that something is? |
//!
//! Nothing in here is exact because of an election: what keeps effects exact is a checkpoint that is compared and
//! set in the transaction of the effect.

pub mod backoff;
pub mod dead_letters;
pub mod elections;
pub mod patience;
pub mod position;
pub mod process;
