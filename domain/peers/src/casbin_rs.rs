//! A Casbin policy with roles, regular expressions, and deny before allow.

use crate::world::Request;
use casbin::prelude::*;
use domain::policy::{Effect, MethodSelector, Policy};
use std::collections::BTreeSet;

const MODEL: &str = r#"
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.sub == "*" || g(r.sub, p.sub)) && regexMatch(r.act, p.act) && regexMatch(r.obj, p.obj)
"#;

pub struct Peer(Enforcer);

impl Peer {
    pub fn new(policy: &Policy, requests: &[&Request]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self(runtime.block_on(enforcer(policy, requests)).expect("a policy of Casbin"))
    }

    pub fn decide(&self, request: &Request) -> bool {
        let (user, path) = (user(request), request.path.as_str());
        self.0.enforce((user, path, request.method)).expect("a decision")
    }
}

/// Everybody with the same roles is one user.
fn user(request: &Request) -> &str {
    request.roles.iter().next_back().map_or("nobody", |role| role.as_str())
}

async fn enforcer(policy: &Policy, requests: &[&Request]) -> casbin::Result<Enforcer> {
    let model = DefaultModel::from_str(MODEL).await?;
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
    let mut lines = vec![];
    for held in policy.rules.values() {
        let effect = match held.rule.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        for role in &held.rule.roles {
            let (path, methods) =
                (format!("^(?:{})$", held.rule.path), methods(&held.rule.methods));
            lines.push(vec![named(&role.to_string()), path, methods, effect.to_owned()]);
        }
    }
    for entry in policy.public_paths.values() {
        let (path, methods) = (format!("^(?:{})$", entry.path), methods(&entry.methods));
        lines.push(vec!["*".to_owned(), path, methods, "allow".to_owned()]);
    }
    enforcer.add_policies(lines).await?;
    let grants: BTreeSet<_> = requests
        .iter()
        .flat_map(|request| request.roles.iter().map(|role| (user(request), named(role.as_str()))))
        .collect();
    let grants = grants.into_iter().map(|(user, role)| vec![user.to_owned(), role]).collect();
    enforcer.add_grouping_policies(grants).await?;
    Ok(enforcer)
}

/// A role's name is not a user's.
fn named(role: &str) -> String {
    if role == "*" { role.to_owned() } else { format!("role:{role}") }
}

fn methods(methods: &[MethodSelector]) -> String {
    let named: Vec<_> = methods
        .iter()
        .map(|method| match method {
            MethodSelector::Any => ".*".to_owned(),
            MethodSelector::Method(name) => name.clone(),
        })
        .collect();
    format!("^(?:{})$", named.join("|"))
}
