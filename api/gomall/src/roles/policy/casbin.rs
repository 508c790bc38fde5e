//! Reading a Casbin policy: `p, role, path, method[, allow|deny]` and `g, user, role`, as comma-separated
//! values. What cannot be carried over exactly is named with its line, and then nothing is.

use super::file::{Placed, PolicyFile, accepted_rule};
use domain::policy::{Effect, MAX_RULES, MethodSelector, RoleSelector, Rule};
use domain::{EmailAddress, RoleName};
use uuid::Uuid;

/// How the model of the policy compares paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Paths {
    /// `keyMatch`: what follows a `*` at the end is anything.
    KeyMatch,
    /// `keyMatch2`: `/*` is anything, `:name` one segment, and the rest a regular expression.
    KeyMatch2,
    /// `regexMatch`: a regular expression that is looked for anywhere in the path.
    RegexMatch,
}

/// A `g` line: the account's owner is to be granted the role, which is none of the policy's business.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) line: usize,
    pub(super) role: RoleName,
}

/// The rules of the file, and the grants that somebody has to see to.
pub(super) fn parse(text: &str, paths: Paths) -> Result<(PolicyFile, Vec<Grant>), Vec<String>> {
    let (mut file, mut grants, mut wrong) = (PolicyFile::default(), vec![], vec![]);
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        match read(text, paths) {
            Ok(Line::Rule(value)) => file.rules.push(Placed { line, value }),
            Ok(Line::Grant(role)) => grants.push(Grant { line, role }),
            Err(why) => wrong.push(format!("line {line}: {why}")),
        }
    }
    if file.rules.len() > MAX_RULES {
        wrong = vec![format!("there are at most {MAX_RULES} rules")];
    }
    if wrong.is_empty() { Ok((file, grants)) } else { Err(wrong) }
}

enum Line {
    Rule(Rule),
    Grant(RoleName),
}

fn read(line: &str, paths: Paths) -> Result<Line, String> {
    let fields = fields(line)?;
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    match fields[..] {
        ["p", role, path, methods] => rule(role, path, methods, "allow", paths),
        ["p", role, path, methods, effect] => rule(role, path, methods, effect, paths),
        ["g", user, role] => grant(user, role),
        ["p", ..] => Err("expected `p, role, path, methods` and perhaps an effect".to_owned()),
        ["g", ..] => Err("a role of some domain only has no counterpart".to_owned()),
        [other, ..] => Err(format!("`{}` lines have no counterpart", other.escape_debug())),
        [] => Err("there is nothing".to_owned()),
    }
}

fn rule(role: &str, path: &str, named: &str, effect: &str, paths: Paths) -> Result<Line, String> {
    let effect = match effect {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        _ => return Err("an effect is `allow` or `deny`".to_owned()),
    };
    let role = RoleSelector::try_from(role.to_owned()).map_err(|error| error.to_string())?;
    let rule = Rule {
        effect,
        roles: vec![role],
        methods: methods(named)?,
        path: pattern(path, paths)?,
        note: String::new(),
    };
    accepted_rule(&rule).map(|()| Line::Rule(rule))
}

fn grant(user: &str, role: &str) -> Result<Line, String> {
    let is_user = EmailAddress::of_account(user).is_ok() || Uuid::parse_str(user).is_ok();
    if !is_user {
        // It may be a role that has another one's permissions, or somebody of another system.
        return Err("what is granted a role is an e-mail address or a user's id here".to_owned());
    }
    RoleName::parse(role).map(Line::Grant).map_err(|error| error.to_string())
}

/// `GET`, `*`, `.*`, `(GET|POST)` and `(GET)|(POST)`, which a `regexMatch` of the model compares.
fn methods(text: &str) -> Result<Vec<MethodSelector>, String> {
    if matches!(text, "*" | ".*" | "(.*)") {
        return Ok(vec![MethodSelector::Any]);
    }
    let bare = |text: &str| text.chars().all(|char| !matches!(char, '(' | ')'));
    let unwrapped = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let alternatives: Vec<&str> = match unwrapped {
        Some(inside) if bare(inside) => inside.split('|').collect(),
        Some(inside) => inside.split(")|(").collect(),
        None => text.split('|').collect(),
    };
    let method = |name: &str| {
        MethodSelector::try_from(name.to_owned())
            .map_err(|error| format!("method `{}`: {error}", name.escape_debug()))
    };
    alternatives.into_iter().map(method).collect()
}

/// The same paths as a pattern of ours.
fn pattern(path: &str, paths: Paths) -> Result<String, String> {
    match paths {
        Paths::KeyMatch => match path.split_once('*') {
            None => Ok(escape(path)),
            Some((before, "")) => Ok(escape(before) + ".*"),
            Some(_) => Err("Casbin ignores what stands behind the first `*`".to_owned()),
        },
        Paths::KeyMatch2 => {
            let mut segments = vec![];
            for segment in path.split('/') {
                segments.push(match segment.split_once(':') {
                    _ if segment == "*" => ".*".to_owned(),
                    _ if segment.contains('*') => {
                        return Err("in keyMatch2 a `*` stands behind a `/` and alone".to_owned());
                    }
                    Some((before, name)) if !name.is_empty() => format!("{before}[^/]+"),
                    _ => segment.to_owned(),
                });
            }
            Ok(segments.join("/"))
        }
        Paths::RegexMatch => Ok(anywhere(path)),
    }
}

/// What stands for itself, as a pattern: in paths only the dot means something else.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if !char.is_ascii_alphanumeric() && !matches!(char, '/' | '-' | '_' | '~') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

/// Our patterns are about the whole path: what is looked for anywhere has anything around it.
fn anywhere(regex: &str) -> String {
    let simple = !regex.contains(['|', '\\']);
    match regex.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) {
        Some(inside) if simple => inside.to_owned(),
        _ if simple && regex.starts_with('^') => format!("{}.*", &regex[1..]),
        _ => format!(".*(?:{regex}).*"),
    }
}

/// The fields, which commas divide, without the blanks around them; one in quotes may hold commas.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field, mut in_quotes) = (vec![], String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if in_quotes && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => fields.push(std::mem::take(&mut field).trim().to_owned()),
            other => field.push(other),
        }
    }
    if in_quotes {
        return Err("a quotation mark is not closed".to_owned());
    }
    fields.push(field.trim().to_owned());
    Ok(fields)
}

#[cfg(test)]
#[path = "casbin_tests.rs"]
mod tests;
