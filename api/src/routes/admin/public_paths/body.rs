use crate::application::policy::Written;
use domain::policy::MethodSelector;
use projections::permissions::PublicPathView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Paths that need no permission.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicPathBody {
    pub(super) id: Uuid,
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>)]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub(super) path: String,
    /// The policy's version when the entry was written.
    pub(super) version: u64,
}

/// Paths that shall need no permission.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublicPathRequest {
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 10)]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    #[schema(max_length = 512)]
    pub(super) path: String,
}

pub(super) fn written(view: &PublicPathView) -> Written {
    Written { version: view.version, position: view.position }
}

pub(super) fn from_view(view: PublicPathView) -> PublicPathBody {
    let PublicPathView { public_path_id: id, methods, path, version, .. } = view;
    PublicPathBody { id, methods, path, version }
}
