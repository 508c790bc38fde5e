use crate::application::policy::Written;
use domain::policy::{Effect, MethodSelector, RoleSelector, Rule};
use projections::permissions::RuleView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A permission rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleBody {
    pub(super) id: Uuid,
    #[schema(value_type = EffectName)]
    pub(super) effect: Effect,
    /// Granted roles, `anonymous`, `authenticated` or `*`.
    #[schema(value_type = Vec<String>)]
    pub(super) roles: Vec<RoleSelector>,
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>)]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub(super) path: String,
    pub(super) note: String,
    /// The policy's version when the rule was last written.
    pub(super) version: u64,
}

/// A permission rule as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleRequest {
    #[schema(value_type = EffectName)]
    pub(super) effect: Effect,
    /// Granted roles, `anonymous`, `authenticated` or `*`.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 50)]
    pub(super) roles: Vec<RoleSelector>,
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 10)]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    #[schema(max_length = 512)]
    pub(super) path: String,
    /// What it is for, for whoever reads the list.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub(super) note: String,
}

/// What a rule does when it matches.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RuleEffect)]
#[expect(dead_code, reason = "how OpenAPI is told about the domain's own type")]
pub(super) enum EffectName {
    Allow,
    Deny,
}

pub(super) fn written(view: &RuleView) -> Written {
    Written { version: view.version, position: view.position }
}

pub(super) fn from_view(view: RuleView) -> RuleBody {
    body(view.rule_id, view.rule, view.version)
}

pub(super) fn body(id: Uuid, rule: Rule, version: u64) -> RuleBody {
    let Rule { effect, roles, methods, path, note } = rule;
    RuleBody { id, effect, roles, methods, path, note, version }
}
