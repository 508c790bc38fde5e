//! What requests and answers about the permission policy have in common.

use crate::application::policy::Written;
use crate::http::{Etag, PolicyVersion, Position, Problem, Replayed};
use axum::response::IntoResponseParts;
use commands::bus::Executed;
use domain::policy::{MAX_METHODS, MethodSelector};

/// The tag of an entry.
pub(super) fn etag(written: Written) -> Etag {
    Etag::new(written.version, written.position)
}

/// The headers of every change.
pub(super) fn headers(executed: &Executed) -> impl IntoResponseParts + use<> {
    (Position(executed.position), PolicyVersion(executed.version(0)), Replayed(executed.replayed))
}

/// What a rule or a public path may name. `at` points to it within the body.
pub(super) fn check_methods(methods: &[MethodSelector], at: &str) -> Result<(), Problem> {
    if (1..=MAX_METHODS).contains(&methods.len()) {
        Ok(())
    } else {
        let expected = format!("expected 1 to {MAX_METHODS} methods");
        Err(Problem::invalid_field(format!("{at}/methods"), expected))
    }
}
