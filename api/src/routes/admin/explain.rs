//! Why somebody may do something, or may not.

use super::super::schema;
use crate::application::App;
use crate::http::{Body, FieldError, Id, Json, Problem};
use axum::extract::State;
use domain::RoleName;
use domain::policy::{
    Caller, Considered, EntryKind, Grant, MAX_ROLES, MethodSelector, Verdict, canonical_path,
};
use domain::user::User;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// A request that somebody might send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// Who sends it; or give `roles`.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    user_id: Option<Id>,
    /// The roles of who sends it: `["anonymous"]` for somebody without a token, `[]` for somebody
    /// with a token and nothing granted.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schema::Token>>, max_items = 50)]
    roles: Option<BTreeSet<RoleName>>,
    /// In capitals.
    method: String,
    /// The whole canonical path, without the query.
    path: String,
}

/// What would become of the request, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainBody {
    decision: PolicyDecision,
    /// What it follows from.
    reason: DecisionReason,
    /// The rule that decides. Of several that say the same, the one with the lowest id.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<Uuid>,
    /// The public path that decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_path_id: Option<Uuid>,
    /// Every rule and public path in the order in which they count: deny rules, public paths, allow
    /// rules.
    considered: Vec<ConsideredBody>,
    /// The policy that this is about: the one in force in the process that answers.
    policy_version: u64,
}

/// Whether the request would pass.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum PolicyDecision {
    Allow,
    Deny,
}

/// What a decision follows from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DecisionReason {
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
#[derive(Debug, Serialize, ToSchema)]
struct ConsideredBody {
    id: Uuid,
    kind: PolicyEntryKind,
    /// Whether it is about the request: all of the following.
    matches: bool,
    role_matches: bool,
    method_matches: bool,
    path_matches: bool,
}

/// What an entry of the policy is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PolicyEntryKind {
    DenyRule,
    PublicPath,
    AllowRule,
}

/// Explains a decision without making it. Ownership is not looked at: that is checked where the
/// resource is known.
#[utoipa::path(post, path = "/api/v1/admin/permission-rules/explain", tag = "permissions", request_body = ExplainRequest,
    responses((status = 200, body = ExplainBody), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn explain(
    State(app): State<Arc<App>>,
    body: Body<ExplainRequest>,
) -> Result<Json<ExplainBody>, Problem> {
    let ExplainRequest { user_id, roles, method, path } = body.value;
    check_method(&method)?;
    let path = canonical_path(&path)
        .map_err(|malformed| Problem::invalid_field("/path", malformed.to_string()))?;
    let (roles, banned) = match (user_id, roles) {
        (Some(Id(user_id)), None) => roles_of(&app, user_id).await?,
        (None, Some(roles)) if roles.len() <= MAX_ROLES => (roles, false),
        (None, Some(_)) => {
            return Err(Problem::invalid_field("/roles", format!("expected at most {MAX_ROLES}")));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_field("/roles", "give user_id or roles, not both"));
        }
        (None, None) => {
            let missing = FieldError::at("/user_id", "missing_field", "give user_id or roles");
            return Err(Problem::field(missing));
        }
    };
    let policy = app.policy.current();
    let explained = policy.explain(Caller::with_roles(&roles), &method, path);
    let (decision, reason, rule_id, public_path_id) = match explained.verdict {
        _ if banned => (PolicyDecision::Deny, DecisionReason::Banned, None, None),
        Verdict::Denied { by: Some(rule) } => {
            (PolicyDecision::Deny, DecisionReason::DenyRule, Some(rule), None)
        }
        Verdict::Denied { by: None } => {
            (PolicyDecision::Deny, DecisionReason::NothingAllows, None, None)
        }
        Verdict::Allowed { by: Grant::Rule(rule) } => {
            (PolicyDecision::Allow, DecisionReason::AllowRule, Some(rule), None)
        }
        Verdict::Allowed { by: Grant::PublicPath(entry) } => {
            (PolicyDecision::Allow, DecisionReason::PublicPath, None, Some(entry))
        }
    };
    Ok(Json(ExplainBody {
        decision,
        reason,
        rule_id,
        public_path_id,
        considered: explained.considered.into_iter().map(considered).collect(),
        policy_version: policy.version(),
    }))
}

/// What the user was granted, and whether they are banned at present.
async fn roles_of(app: &App, user_id: Uuid) -> Result<(BTreeSet<RoleName>, bool), Problem> {
    let user = app.bus.load::<User>(&user_id.to_string()).await?.state;
    if !user.exists() {
        return Err(Problem::not_found());
    }
    let banned = user.is_banned((app.world.now)());
    Ok((user.roles, banned))
}

fn check_method(method: &str) -> Result<(), Problem> {
    // Rules cannot name HEAD, requests can: it follows GET.
    let known = method == "HEAD"
        || matches!(MethodSelector::try_from(method.to_owned()), Ok(MethodSelector::Method(_)));
    if known {
        Ok(())
    } else {
        Err(Problem::invalid_field("/method", "expected an HTTP method in capitals"))
    }
}

fn considered(entry: Considered) -> ConsideredBody {
    ConsideredBody {
        id: entry.id,
        kind: match entry.kind {
            EntryKind::Deny => PolicyEntryKind::DenyRule,
            EntryKind::PublicPath => PolicyEntryKind::PublicPath,
            EntryKind::Allow => PolicyEntryKind::AllowRule,
        },
        matches: entry.matches(),
        role_matches: entry.role_matches,
        method_matches: entry.method_matches,
        path_matches: entry.path_matches,
    }
}
