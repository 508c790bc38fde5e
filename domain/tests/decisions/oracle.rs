//! The rules of the policy, as slowly and plainly as they can be written.

use domain::policy::{Effect, Grant, MethodSelector, Policy, Rule, Verdict};
use domain::{PublicPathId, RoleName, RuleId};
use regex::bytes::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// A policy whose patterns are compiled one by one.
pub(crate) struct Oracle<'a> {
    rules: Vec<(RuleId, &'a Rule, Regex)>,
    // Both in the order of their ids, as the policy holds them.
    public_paths: Vec<(PublicPathId, &'a [MethodSelector], Regex)>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(policy: &'a Policy) -> Self {
        let compiled = |pattern: &str| {
            let mut builder = RegexBuilder::new(&format!("^(?:{pattern})$"));
            builder.unicode(false).build().expect("a pattern")
        };
        let rules =
            policy.rules.iter().map(|(id, held)| (*id, &held.rule, compiled(&held.rule.path)));
        let public_paths = policy
            .public_paths
            .iter()
            .map(|(id, held)| (*id, &held.methods[..], compiled(&held.path)));
        Self { rules: rules.collect(), public_paths: public_paths.collect() }
    }

    /// What the policy says to somebody with these roles, or without a token.
    pub(crate) fn decide(
        &self,
        roles: Option<&BTreeSet<RoleName>>,
        method: &str,
        path: &str,
    ) -> Verdict {
        let names_method = |methods: &[MethodSelector]| {
            let method = if method == "HEAD" { "GET" } else { method };
            methods.iter().map(ToString::to_string).any(|named| named == "*" || named == method)
        };
        let has_role = |role: &str| match roles {
            None => role == "*" || role == "anonymous",
            Some(granted) => {
                role == "*"
                    || role == "authenticated"
                    || granted.iter().any(|name| name.as_str() == role)
            }
        };
        let matches = |pattern: &Regex| pattern.is_match(path.as_bytes());
        let of = |effect| {
            let is_about = |(_, rule, pattern): &&(RuleId, &Rule, Regex)| {
                let names_role = rule.roles.iter().any(|role| has_role(&role.to_string()));
                let is_about = names_role && names_method(&rule.methods) && matches(pattern);
                rule.effect == effect && is_about
            };
            self.rules.iter().find(is_about).map(|(id, ..)| *id)
        };
        let mut public = self.public_paths.iter();
        let public = public.find(|(_, methods, pattern)| names_method(methods) && matches(pattern));
        match (of(Effect::Deny), public, of(Effect::Allow)) {
            (Some(id), _, _) => Verdict::Denied { by: Some(id) },
            (None, Some((id, ..)), _) => Verdict::Allowed { by: Grant::PublicPath(*id) },
            (None, None, Some(id)) => Verdict::Allowed { by: Grant::Rule(id) },
            (None, None, None) => Verdict::Denied { by: None },
        }
    }
}
