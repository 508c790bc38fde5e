use crate::Timestamp;

/// What a decision may know beside its own state and the command: never read from the world
/// inside the decision, always handed in.
///
/// Ids, numbers and prices travel in the commands, parsed and looked up by whoever builds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The moment of the decision. The journal stamps `recorded_at` itself, a little later.
    pub now: Timestamp,
}
