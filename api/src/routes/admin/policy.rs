//! What every answer about the permission policy has in common.

use crate::application::policy::Written;
use crate::http::{Etag, PolicyVersion, Position, Replayed};
use axum::response::IntoResponseParts;
use commands::bus::Executed;

/// The tag of an entry.
pub(super) fn etag(written: Written) -> Etag {
    Etag::new(written.version, written.position)
}

/// The headers of every change.
pub(super) fn headers(executed: &Executed) -> impl IntoResponseParts + use<> {
    (Position(executed.position), PolicyVersion(executed.version(0)), Replayed(executed.replayed))
}
