//! The policy as a file: TOML, because its literal strings (`'…'`) hold a pattern as it is, because it
//! takes comments, and because a rule of five lines makes a diff that can be read. There are no ids in it:
//! an entry is known by what it says.

use domain::policy::{
    Effect, MAX_PUBLIC_PATHS, MAX_RULES, MethodSelector, Policy, PolicyChange, PolicyCommand,
    PolicyEvent, PublicPath, RoleSelector, Rule,
};
use domain::{Facts, PublicPathId, RoleName, RuleId, Timestamp};
use serde::Deserialize;
use std::io::Read as _;
use std::path::Path;
use toml::Spanned;
use uuid::Uuid;

/// The largest file: all rules that a policy may have, of some two thousand bytes each.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The most cases of a file: for every rule that there may be some that it lets through and some not.
const MAX_CASES: usize = 10_000;

/// Something, and the line of the file on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// What a file says. Every rule and public path is one that the policy accepts by itself.
#[derive(Debug, Default)]
pub(super) struct PolicyFile {
    pub(super) rules: Vec<Placed<Rule>>,
    pub(super) public_paths: Vec<Placed<PublicPath>>,
    pub(super) cases: Vec<Placed<Case>>,
}

/// What somebody must be answered.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Granted roles; `["anonymous"]` is somebody without a token, and nothing somebody with one alone.
    pub(super) roles: std::collections::BTreeSet<RoleName>,
    /// In capitals.
    pub(super) method: String,
    /// A canonical path.
    pub(super) path: String,
    /// Whether it may pass.
    pub(super) expect: Effect,
    /// The pattern of the rule or public path that must be the reason.
    pub(super) by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
    #[serde(default)]
    public_path: Vec<Spanned<PublicPathTable>>,
    #[serde(default)]
    case: Vec<Spanned<Case>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    effect: Effect,
    roles: Vec<RoleSelector>,
    methods: Vec<MethodSelector>,
    path: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicPathTable {
    methods: Vec<MethodSelector>,
    path: String,
}

/// The text of a file of at most [`MAX_FILE_BYTES`].
pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    let named = |error| anyhow::anyhow!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(named)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(named)?;
    let fits = text.len() as u64 <= MAX_FILE_BYTES;
    anyhow::ensure!(fits, "{}: a file has at most {MAX_FILE_BYTES} bytes", path.display());
    Ok(text)
}

/// Reads a file; everything that is wrong with its entries is said at once, each with its line.
pub(super) fn read(path: &Path) -> anyhow::Result<PolicyFile> {
    let file = parse(&text_of(path)?);
    file.map_err(|wrong| anyhow::anyhow!("{}: {}", path.display(), wrong.join("\n")))
}

fn parse(text: &str) -> Result<PolicyFile, Vec<String>> {
    let document: Document = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let Document { rule, public_path, case } = document;
    for (what, count, most) in [
        ("rules", rule.len(), MAX_RULES),
        ("public paths", public_path.len(), MAX_PUBLIC_PATHS),
        ("cases", case.len(), MAX_CASES),
    ] {
        if count > most {
            return Err(vec![format!("there are at most {most} {what}")]);
        }
    }
    let lines = Lines::of(text);
    let rules: Vec<_> = rule.into_iter().map(|table| lines.placed(table, rule_of)).collect();
    let public_paths: Vec<_> =
        public_path.into_iter().map(|table| lines.placed(table, public_path_of)).collect();
    let cases: Vec<_> = case.into_iter().map(|case| lines.placed(case, |case| case)).collect();
    let mut wrong = vec![];
    for Placed { line, value } in &rules {
        wrong.extend(accepted_rule(value).err().map(|why| format!("line {line}: {why}")));
    }
    for Placed { line, value } in &public_paths {
        wrong.extend(accepted_public_path(value).err().map(|why| format!("line {line}: {why}")));
    }
    for Placed { line, value } in &cases {
        wrong.extend(value.check().err().map(|why| format!("line {line}: {why}")));
    }
    if wrong.is_empty() { Ok(PolicyFile { rules, public_paths, cases }) } else { Err(wrong) }
}

/// The lines of a text, by where they end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(end, _)| end).collect())
    }

    fn placed<A, B>(&self, table: Spanned<A>, read: fn(A) -> B) -> Placed<B> {
        let line = 1 + self.0.partition_point(|end| *end < table.span().start);
        Placed { line, value: read(table.into_inner()) }
    }
}

fn rule_of(table: RuleTable) -> Rule {
    let RuleTable { effect, roles, methods, path, note } = table;
    Rule { effect, roles, methods, path, note }
}

fn public_path_of(table: PublicPathTable) -> PublicPath {
    let PublicPathTable { methods, path } = table;
    PublicPath { methods, path }
}

/// Whether a policy takes such a rule.
pub(super) fn accepted_rule(rule: &Rule) -> Result<(), String> {
    accepted(PolicyChange::AddRule { rule_id: Uuid::nil().into(), rule: rule.clone() })
}

fn accepted_public_path(entry: &PublicPath) -> Result<(), String> {
    let PublicPath { methods, path } = entry.clone();
    accepted(PolicyChange::AddPublicPath { public_path_id: Uuid::nil().into(), methods, path })
}

fn accepted(change: PolicyChange) -> Result<(), String> {
    let command = PolicyCommand { changes: vec![change], way_back: None };
    let decided = Policy::default().decide(command, &Facts { now: Timestamp::EPOCH });
    decided.map(drop).map_err(|refused| refused.to_string())
}

impl PolicyFile {
    /// The policy that consists of it. An entry's id is its place in the file.
    pub(super) fn policy(&self) -> Policy {
        use cqrs_es::Aggregate as _;
        let mut policy = Policy::default();
        for (place, rule) in (0_u128..).zip(&self.rules) {
            let rule_id = RuleId::from(Uuid::from_u128(place));
            policy.apply(PolicyEvent::RuleAdded { rule_id, rule: rule.value.clone() });
        }
        for (place, entry) in (0_u128..).zip(&self.public_paths) {
            let public_path_id = PublicPathId::from(Uuid::from_u128(place));
            let PublicPath { methods, path } = entry.value.clone();
            policy.apply(PolicyEvent::PublicPathAdded { public_path_id, methods, path });
        }
        policy
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
