use crate::http::Id;
use crate::openapi::schema::{self, answers};
use domain::policy::MAX_ROLES;
use domain::policy::{Considered, Entry, MethodSelector};
use domain::{PublicPathId, RoleName, RuleId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

answers!(ExplainBody);

/// A request that somebody might send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"roles": ["staff"], "method": "GET", "path": "/api/v1/me"}))]
#[schemars(example = json!({
    "user_id": "01890a5d-ac96-774b-bcce-b302099a8057", "method": "GET", "path": "/api/v1/me",
}))]
pub(super) struct ExplainRequest {
    /// Who sends it; or give `roles`.
    #[serde(default)]
    pub(super) user_id: Option<Id<UserId>>,
    /// The roles of who sends it: `["anonymous"]` for somebody without a token, `[]` for somebody
    /// with a token and nothing granted.
    #[serde(default)]
    #[schemars(length(max = MAX_ROLES))]
    pub(super) roles: Option<BTreeSet<RoleName>>,
    /// In capitals.
    #[schemars(extend("enum" = methods()))]
    pub(super) method: String,
    /// The whole canonical path, without the query.
    pub(super) path: String,
}

/// What rules can name, and HEAD, which follows GET.
fn methods() -> Vec<Value> {
    let named = schema::words_of::<MethodSelector>();
    named.into_iter().filter(|word| word != "*").chain([json!("HEAD")]).collect()
}

/// What would become of the request, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExplainBody {
    pub(super) decision: PolicyDecision,
    /// What it follows from.
    pub(super) reason: DecisionReason,
    /// The rule that decides. Of several that say the same, the one with the lowest id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule_id: Option<RuleId>,
    /// The public path that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_path_id: Option<PublicPathId>,
    /// Every rule and public path in the order in which they count: deny rules, public paths, allow
    /// rules.
    pub(super) considered: Vec<ConsideredBody>,
    /// The policy that this is about: the one in force in the process that answers.
    pub(super) policy_version: u64,
}

/// Whether the request would pass.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PolicyDecision {
    Allow,
    Deny,
}

/// What a decision follows from.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DecisionReason {
    /// The user is banned, which counts before any rule.
    Banned,
    /// A deny rule matches.
    DenyRule,
    /// A public path matches.
    PublicPath,
    /// An allow rule matches.
    AllowRule,
    /// Nothing allows it.
    NothingAllows,
}

/// One rule or public path, and what of it fits the request.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ConsideredBody {
    pub(super) id: Uuid,
    pub(super) kind: PolicyEntryKind,
    /// Whether it is about the request: all of the following.
    pub(super) matches: bool,
    pub(super) role_matches: bool,
    pub(super) method_matches: bool,
    pub(super) path_matches: bool,
}

/// What an entry of the policy is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PolicyEntryKind {
    DenyRule,
    PublicPath,
    AllowRule,
}

pub(super) fn considered(considered: Considered) -> ConsideredBody {
    let (id, kind) = match considered.entry {
        Entry::Deny(rule_id) => (rule_id.uuid(), PolicyEntryKind::DenyRule),
        Entry::PublicPath(public_path_id) => (public_path_id.uuid(), PolicyEntryKind::PublicPath),
        Entry::Allow(rule_id) => (rule_id.uuid(), PolicyEntryKind::AllowRule),
    };
    ConsideredBody {
        id,
        kind,
        matches: considered.matches(),
        role_matches: considered.role_matches,
        method_matches: considered.method_matches,
        path_matches: considered.path_matches,
    }
}
