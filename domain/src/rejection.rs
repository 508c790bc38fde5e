use serde_json::Value;

/// What a refused caller can do about it; the one error map of the API turns it into a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// The thing is not there (404).
    Absent,
    /// The thing is in a state that does not allow this (409).
    Conflict,
    /// The command itself can never succeed as it stands (422).
    Invalid,
    /// The caller may not do this (403).
    Denied,
    /// Who the caller is could not be accepted (401).
    Unauthenticated,
    /// The caller has too much of it already (429).
    TooMany,
}

/// A refusal stated as a fact. Every aggregate's rejection type implements it, so that a new
/// aggregate adds nothing to the error map.
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable, snake case, never translated: clients branch on it.
    fn code(&self) -> &'static str;

    /// Decides the HTTP status.
    fn kind(&self) -> RejectionKind;

    /// Members beside `detail` that help the caller to react, e.g. what is still in stock.
    /// An object, or nothing.
    fn extra(&self) -> Option<Value> {
        None
    }

    /// In how many seconds trying again may help, where that is known.
    fn retry_after_seconds(&self) -> Option<u64> {
        None
    }
}
