//! The laboratory: measures this build beside its anchors, and breaks its surroundings on purpose.
//!
//! Nothing that serves needs it.

pub mod bench;
pub mod chaos;
