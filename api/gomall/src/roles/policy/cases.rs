//! `gomall policy test`: what a policy must answer, as cases that continuous integration runs.

use super::file::{Case, Placed, PolicyFile};
use domain::RoleName;
use domain::policy::{
    Caller, CompiledPolicy, Effect, Grant, MethodSelector, Policy, Verdict, canonical_path,
};

impl Case {
    /// Whether it can be asked at all.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_named = |name: &str| self.roles.iter().any(|role| role.as_str() == name);
        if is_named(RoleName::ANONYMOUS) && self.roles.len() > 1 {
            return Err("who is `anonymous` has no other role".to_owned());
        }
        let method = MethodSelector::try_from(self.method.clone());
        if self.method != "HEAD" && !matches!(method, Ok(MethodSelector::Method(_))) {
            return Err("expected an HTTP method in capitals".to_owned());
        }
        canonical_path(&self.path).map(drop).map_err(|error| error.to_string())
    }
}

/// What each case that fails got instead, with its line.
pub(super) fn failures(policy: &Policy, cases: &[Placed<Case>]) -> anyhow::Result<Vec<String>> {
    let compiled = CompiledPolicy::compile(policy, 1)?;
    let failures = cases.iter().filter_map(|case| {
        let failed = judge(policy, &compiled, &case.value)?;
        Some(format!("line {}: {failed}", case.line))
    });
    Ok(failures.collect())
}

/// Nothing if the case holds.
fn judge(policy: &Policy, compiled: &CompiledPolicy, case: &Case) -> Option<String> {
    let Case { roles, method, path, expect, by } = case;
    let caller = Caller::with_roles(roles);
    // A path that is none was refused when the file was read.
    let verdict = compiled.decide(caller, method, canonical_path(path).ok()?);
    let got = if verdict.is_allowed() { Effect::Allow } else { Effect::Deny };
    let reason = pattern_of(policy, verdict);
    let is_reason = by.as_deref().is_none_or(|by| reason == Some(by));
    if got == *expect && is_reason {
        return None;
    }
    let who = match caller {
        Caller::Anonymous => "somebody without a token".to_owned(),
        Caller::SignedIn(roles) if roles.is_empty() => "somebody with a token".to_owned(),
        Caller::SignedIn(_) => super::list_of(&roles.iter().collect::<Vec<_>>()),
    };
    let because =
        reason.map_or("because nothing allows it".to_owned(), |path| format!("by '{path}'"));
    let (got, expected) = (word(got), word(*expect));
    let by = by.as_deref().map_or_else(String::new, |by| format!(" by '{by}'"));
    Some(format!("{method} {path} as {who} is {got} {because}, expected {expected}{by}"))
}

/// The pattern of what decided.
fn pattern_of(policy: &Policy, verdict: Verdict) -> Option<&str> {
    match verdict {
        Verdict::Denied { by: None } => None,
        Verdict::Denied { by: Some(rule) } | Verdict::Allowed { by: Grant::Rule(rule) } => {
            policy.rules.get(&rule).map(|held| held.rule.path.as_str())
        }
        Verdict::Allowed { by: Grant::PublicPath(entry) } => {
            policy.public_paths.get(&entry).map(|entry| entry.path.as_str())
        }
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allowed",
        Effect::Deny => "denied",
    }
}

/// Runs the cases of `file` on `policy`; says how many there are, or fails with those that fail.
pub(super) fn run(file: &PolicyFile, policy: &Policy) -> anyhow::Result<()> {
    anyhow::ensure!(!file.cases.is_empty(), "the file has no case");
    let (failures, cases) = (failures(policy, &file.cases)?, file.cases.len());
    failures.iter().for_each(|failure| println!("{failure}"));
    anyhow::ensure!(failures.is_empty(), "{} of {cases} cases failed", failures.len());
    println!("{cases} cases hold");
    Ok(())
}
