//! What other rules would have said about the latest requests.

use super::body::RuleRequest;
use crate::application::App;
use crate::application::dry_run::{self, DryRun, Flip};
use crate::http::{Body, Json, Problem};
use crate::openapi::schema::answers;
use axum::extract::State;
use domain::RoleName;
use domain::policy::{Effect, MAX_RULES, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

answers!(DryRunBody);

/// All rules as they might be; public paths and bans stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"rules": [{
    "effect": "allow", "roles": ["admin"], "methods": ["*"], "path": "/.*", "note": "A sample.",
}]}))]
pub(super) struct DryRunRequest {
    #[schemars(length(max = MAX_RULES))]
    pub(super) rules: Vec<RuleRequest>,
}

/// What would be decided otherwise.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DryRunBody {
    /// The decisions that would be others, the most frequent first; at most 200.
    pub(super) flips: Vec<FlipBody>,
    /// How many there are, each counted once.
    pub(super) flips_total: usize,
    /// How many decisions were looked at, each counted once: the latest of the process that answers.
    pub(super) decisions_total: usize,
    /// The policy that they are compared with.
    pub(super) policy_version: u64,
}

/// A decision that would be another one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FlipBody {
    /// The granted roles of who asked; `["anonymous"]` for somebody without a token.
    pub(super) roles: Vec<RoleName>,
    pub(super) method: String,
    pub(super) path: String,
    /// How often it was asked lately.
    pub(super) count: u64,
    /// What the rules in force say.
    pub(super) now: Effect,
    /// What the given rules would say.
    pub(super) then: Effect,
    /// Which of the given rules says it, from 0; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<usize>,
}

/// Says which of the latest decisions would be others under the given rules. Changes nothing.
#[utoipa::path(post, path = "/api/v1/admin/permission-rules/dry-run", tag = "permissions", responses((status = 200, body = DryRunBody)))]
pub(super) async fn dry_run(
    State(app): State<Arc<App>>,
    body: Body<DryRunRequest>,
) -> Result<Json<DryRunBody>, Problem> {
    let rules = body.value.checked()?;
    Ok(Json(dry_run::dry_run(&app, rules).await?.into()))
}

impl DryRunRequest {
    fn checked(self) -> Result<Vec<Rule>, Problem> {
        if self.rules.len() > MAX_RULES {
            return Err(Problem::invalid_field("/rules", format!("expected at most {MAX_RULES}")));
        }
        let rules = self.rules.into_iter().enumerate();
        rules.map(|(place, rule)| rule.checked(&format!("/rules/{place}"))).collect()
    }
}

impl From<DryRun> for DryRunBody {
    fn from(run: DryRun) -> Self {
        let DryRun { flips, flips_total, decisions_total, policy_version } = run;
        let flips = flips.into_iter().map(FlipBody::from).collect();
        Self { flips, flips_total, decisions_total, policy_version }
    }
}

impl From<Flip> for FlipBody {
    fn from(flip: Flip) -> Self {
        let Flip { roles, method, path, count, now, then, rule } = flip;
        Self { roles, method, path, count, now, then, rule }
    }
}
