use crate::application::policy::Written;
use crate::openapi::schema::answers;
use crate::routes::admin::reach::{matches_routes, warn_of_nothing};
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
    /// The routes that it is about, as method and path. An entry about none may be meant otherwise.
    pub(super) matches_routes: Vec<String>,
    /// What may be wrong with it, for people. In the answer to a change only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
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
    body(id, methods, path, version)
}

pub(super) fn body(
    id: PublicPathId,
    methods: Vec<MethodSelector>,
    path: String,
    version: u64,
) -> PublicPathBody {
    let matches_routes = matches_routes(&methods, &path);
    PublicPathBody { id, methods, path, version, matches_routes, warning: None }
}

/// The same in the answer to a change.
pub(super) fn with_warning(body: PublicPathBody) -> PublicPathBody {
    let warning = warn_of_nothing(&body.matches_routes, &body.path);
    PublicPathBody { warning, ..body }
}
