use crate::application::policy::Written;
use crate::openapi::schema::answers;
use domain::PublicPathId;
use domain::policy::{MAX_METHODS, MAX_PATTERN_CHARS, MethodSelector};
use projections::permissions::PublicPathView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(PublicPathBody);

/// Paths that need no permission.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PublicPathBody {
    pub(super) id: PublicPathId,
    /// Methods in capitals, or `*`. HEAD follows GET.
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub(super) path: String,
    /// The policy's version when the entry was written.
    pub(super) version: u64,
}

/// Paths that shall need no permission.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"methods": ["GET"], "path": "/x"}))]
pub(super) struct PublicPathRequest {
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schemars(length(min = 1, max = MAX_METHODS))]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    #[schemars(length(max = MAX_PATTERN_CHARS))]
    pub(super) path: String,
}

pub(super) fn written(view: &PublicPathView) -> Written {
    Written { version: view.version, position: view.position }
}

pub(super) fn from_view(view: PublicPathView) -> PublicPathBody {
    let PublicPathView { public_path_id: id, methods, path, version, .. } = view;
    PublicPathBody { id, methods, path, version }
}
