use super::body::{DecisionReason, ExplainBody, ExplainRequest, PolicyDecision, considered};
use crate::application::App;
use crate::http::{Body, FieldError, Id, Json, Problem};
use axum::extract::State;
use domain::policy::{Caller, Grant, MAX_ROLES, MethodSelector, Verdict, canonical_path};
use domain::user::User;
use domain::{RoleName, UserId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Explains a decision without making it. Ownership is not looked at: that is checked where the
/// resource is known.
#[utoipa::path(post, path = "/api/v1/admin/permission-rules/explain", tag = "permissions", responses((status = 200, body = ExplainBody), (status = 404)))]
pub(super) async fn explain(
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
async fn roles_of(app: &App, user_id: UserId) -> Result<(BTreeSet<RoleName>, bool), Problem> {
    let user = app.bus.load::<User>(&user_id).await?.state;
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
