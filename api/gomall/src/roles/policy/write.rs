//! A policy as the text of a file: the same policy is the same text, whatever the ids of its entries.

use super::describe_effect;
use domain::policy::{Policy, PublicPath, Rule};
use std::fmt::Display;

const HEADER: &str = "\
# The permission rules and public paths of a shop, as `gomall policy export` writes them and
# `gomall policy import` takes them. A deny rule wins over everything, a public path needs no
# permission, and what nothing allows is refused; the order says nothing.
";

/// The text. Entries are in the order of their paths, so that what is about one place stands together.
pub(super) fn text(policy: &Policy) -> String {
    let rules = policy.rules.values().map(|held| (&held.rule.path, rule_text(&held.rule)));
    let public_paths = policy.public_paths.values().map(|entry| (&entry.path, public_text(entry)));
    let (mut rules, mut public_paths): (Vec<_>, Vec<_>) = (rules.collect(), public_paths.collect());
    rules.sort();
    public_paths.sort();
    let entries = rules.into_iter().chain(public_paths);
    entries.fold(HEADER.to_owned(), |text, (_, entry)| text + "\n" + &entry)
}

fn rule_text(rule: &Rule) -> String {
    let Rule { effect, roles, methods, path, note } = rule;
    let (roles, methods) = (list(roles), list(methods));
    let mut text = format!(
        "[[rule]]\neffect = \"{}\"\nroles = {roles}\nmethods = {methods}\npath = {}\n",
        describe_effect(*effect),
        quoted(path)
    );
    if !note.is_empty() {
        text.push_str(&format!("note = {}\n", quoted(note)));
    }
    text
}

fn public_text(entry: &PublicPath) -> String {
    let PublicPath { methods, path } = entry;
    format!("[[public_path]]\nmethods = {}\npath = {}\n", list(methods), quoted(path))
}

/// What selectors are made of needs no escapes.
fn list(selectors: &[impl Display]) -> String {
    let quoted: Vec<_> = selectors.iter().map(|selector| format!("\"{selector}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// As it is where it can be.
fn quoted(text: &str) -> String {
    if !text.contains('\'') && !text.chars().any(char::is_control) {
        return format!("'{text}'");
    }
    let mut quoted = "\"".to_owned();
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
