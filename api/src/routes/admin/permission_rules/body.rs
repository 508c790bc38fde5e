use crate::application::policy::Written;
use crate::http::Problem;
use crate::openapi::schema::answers;
use crate::routes::admin::policy::check_methods;
use crate::routes::admin::reach::{Advice, matches_routes};
use domain::policy::{
    Effect, MAX_METHODS, MAX_PATTERN_CHARS, MAX_ROLES, MethodSelector, RoleSelector, Rule,
};
use domain::{Note, RuleId};
use projections::permissions::RuleView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(RuleBody);

/// A permission rule.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RuleBody {
    pub(super) id: RuleId,
    pub(super) effect: Effect,
    /// Granted roles, `anonymous`, `authenticated` or `*`.
    pub(super) roles: Vec<RoleSelector>,
    /// Methods in capitals, or `*`. HEAD follows GET.
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub(super) path: String,
    pub(super) note: String,
    /// The policy's version when the rule was last written.
    pub(super) version: u64,
    /// The routes that it is about, as method and path. A rule about none may be meant otherwise.
    pub(super) matches_routes: Vec<String>,
    /// What may be wrong with it, for people. In the answer to a change only, as what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
    /// The deny rule that refuses everything that this rule allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shadowed_by: Option<RuleId>,
    /// The allow rules of which this rule refuses everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) shadows: Vec<RuleId>,
}

/// A permission rule as it shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({
    "effect": "allow", "roles": ["staff"], "methods": ["GET"], "path": "/api/v1/x",
    "note": "A sample.",
}))]
pub(super) struct RuleRequest {
    pub(super) effect: Effect,
    /// Granted roles, `anonymous`, `authenticated` or `*`.
    #[schemars(length(min = 1, max = MAX_ROLES))]
    pub(super) roles: Vec<RoleSelector>,
    /// Methods in capitals, or `*`. HEAD follows GET.
    #[schemars(length(min = 1, max = MAX_METHODS))]
    pub(super) methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    #[schemars(length(max = MAX_PATTERN_CHARS))]
    pub(super) path: String,
    /// What it is for, for whoever reads the list.
    #[serde(default)]
    pub(super) note: Note,
}

impl RuleRequest {
    /// The bounds that the members' types do not hold. The pattern is the policy's own business: it is
    /// refused as `bad_pattern`. `at` points to the rule within the body.
    pub(super) fn checked(self, at: &str) -> Result<Rule, Problem> {
        let Self { effect, roles, methods, path, note } = self;
        if !(1..=MAX_ROLES).contains(&roles.len()) {
            return Err(Problem::invalid_field(
                format!("{at}/roles"),
                format!("expected 1 to {MAX_ROLES} roles"),
            ));
        }
        check_methods(&methods, at)?;
        Ok(Rule { effect, roles, methods, path, note: note.to_string() })
    }
}

pub(super) fn written(view: &RuleView) -> Written {
    Written { version: view.version, position: view.position }
}

pub(super) fn from_view(view: RuleView) -> RuleBody {
    let matches_routes = matches_routes(&view.rule.methods, &view.rule.path);
    let advice = Advice { matches_routes, ..Advice::default() };
    body(view.rule_id, view.rule, view.version, advice)
}

pub(super) fn body(id: RuleId, rule: Rule, version: u64, advice: Advice) -> RuleBody {
    let Rule { effect, roles, methods, path, note } = rule;
    let Advice { matches_routes, warning, shadowed_by, shadows } = advice;
    RuleBody {
        id,
        effect,
        roles,
        methods,
        path,
        note,
        version,
        matches_routes,
        warning,
        shadowed_by,
        shadows,
    }
}
