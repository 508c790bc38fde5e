//! Every code that a refusal can have, read from where it is written: `impl Rejection`, the
//! constructors of `Problem`, and what is said about single members.
//!
//! Not a Rust parser: it understands rustfmt's layout of those few forms. That nothing was
//! overlooked the shop's own tests see, which look up every refusal that they get.

use http::StatusCode;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

const HEADER: &str = "\
<!-- Generated; do not edit. The test `documents` of the crate `gomall` fails while this differs from
     the source; GOMALL_BLESS=1 cargo test -p gomall --test documents writes it. -->

# Error codes

Every refusal is `application/problem+json` with a stable `code`, which is never translated; a client
branches on it. `detail` says the same in English and may change; what stands in braces is filled in.
Some have further members, such as `errors` or `lines`.

";

/// What stands for a detail that is made up where it is known.
const VARIES: &str = "*says what is wrong*";

/// What is known of a code: with which statuses it comes, and what is said then.
#[derive(Default)]
pub(crate) struct Code {
    statuses: BTreeSet<u16>,
    details: BTreeSet<String>,
}

pub(crate) type Codes = BTreeMap<String, Code>;

/// The whole document.
pub(crate) fn document(codes: &Codes) -> String {
    let mut text = HEADER.to_owned() + "| code | status | detail |\n|---|---|---|\n";
    for (code, Code { statuses, details }) in codes {
        let statuses: Vec<_> = statuses.iter().map(u16::to_string).collect();
        let details: Vec<_> = details.iter().map(|detail| sentence(detail)).collect();
        let (statuses, details) = (statuses.join(", "), details.join("<br>").replace('|', "\\|"));
        let details = if details.is_empty() { VARIES } else { &details };
        text.push_str(&format!("| `{code}` | {statuses} | {details} |\n"));
    }
    text
}

/// Adds the codes of one source file.
pub(crate) fn read(source: &str, codes: &mut Codes) {
    let source = source.split("\n#[cfg(test)]").next().unwrap_or_default();
    rejections(source, codes);
    problems(source, codes);
    members(source, codes);
}

/// `impl Rejection for X`: codes and kinds by variant, and thiserror's texts.
fn rejections(source: &str, codes: &mut Codes) {
    for part in source.split("impl Rejection for ").skip(1) {
        let name = part.split(' ').next().unwrap_or_default();
        let body = part.split("\n}\n").next().unwrap_or_default();
        let function = |name: &str| {
            let text = body.split(&format!("fn {name}(")).nth(1)?;
            Some(text.split("\n    }\n").next()?.to_owned())
        };
        let (Some(code), Some(kind)) = (function("code"), function("kind")) else { continue };
        let (code, kind) = (arms(&code, r#""(\w+)""#), arms(&kind, r"RejectionKind::(\w+)"));
        let texts = texts(source, name);
        for (variant, code) in &code {
            let kind = kind.get(variant).or_else(|| kind.get(""));
            let kind = kind.unwrap_or_else(|| panic!("{name}::{variant} has no kind"));
            let text = texts.get(variant).unwrap_or_else(|| panic!("{name}::{variant}: no text"));
            add(codes, code, status_of(kind, code), text);
        }
    }
}

/// What a `match` gives for each variant; what a function gives without one, for `""`.
fn arms(function: &str, value: &str) -> BTreeMap<String, String> {
    let arm = format!(r"((?:\|?\s*Self::\w+(?:\s\{{ \.\. \}})?\s*)+)=>\s*\{{?\s*{value}");
    let (arm, names) = (regex(&arm), regex(r"Self::(\w+)"));
    let found = arm.captures_iter(function).flat_map(|arm| {
        let value = arm[2].to_owned();
        let variants: Vec<_> =
            names.captures_iter(&arm[1]).map(|variant| variant[1].to_owned()).collect();
        variants.into_iter().map(move |variant| (variant, value.clone()))
    });
    let found: BTreeMap<_, _> = found.collect();
    if !found.is_empty() {
        return found;
    }
    let only = regex(value).captures(function).map(|only| (String::new(), only[1].to_owned()));
    only.into_iter().collect()
}

/// thiserror's texts by variant; of a structure, for `""`.
fn texts(source: &str, name: &str) -> BTreeMap<String, String> {
    let text = r#"#\[error\(\s*"((?:[^"\\]|\\.)*)"[^\]]*\)\]\s*"#;
    let whole = regex(&format!(r"{text}(?:#\[[^\]]*\]\s*)*pub(?:\([a-z]+\))? struct {name}\b"));
    if let Some(found) = whole
        .captures(source)
        .or_else(|| regex(&format!(r"{text}(?:#\[[^\]]*\]\s*)*struct {name}\b")).captures(source))
    {
        return [(String::new(), found[1].to_owned())].into();
    }
    let of_enum = source.split(&format!("enum {name} {{")).nth(1).unwrap_or_default();
    let of_enum = of_enum.split("\n}\n").next().unwrap_or_default();
    let variant = regex(&format!(r"{text}(\w+)"));
    variant.captures_iter(of_enum).map(|one| (one[2].to_owned(), one[1].to_owned())).collect()
}

fn status_of(kind: &str, code: &str) -> u16 {
    match kind {
        "Conflict" if code == "version_conflict" => 412,
        "Absent" => 404,
        "Conflict" => 409,
        "Invalid" => 422,
        "Denied" => 403,
        "Unauthenticated" => 401,
        "TooMany" => 429,
        other => panic!("{code}: {other}?"),
    }
}

/// `Problem::new(StatusCode::…, "code", detail)` and `soon("code", detail)`.
fn problems(source: &str, codes: &mut Codes) {
    let call = regex(r#"(?:new\(\s*(?:StatusCode::([A-Z_]+)|status)|soon\(),?\s*"(\w+)",\s*"?"#);
    for found in call.captures_iter(source) {
        let status = match found.get(1) {
            Some(name) => status_named(name.as_str()),
            None if found[0].starts_with("soon") => 503,
            // What a library refused keeps its own status.
            None => 400,
        };
        let whole = found.get(0).expect("the whole");
        let literal = if whole.as_str().ends_with('"') {
            source[whole.end()..].split('"').next()
        } else {
            let before = &source[..whole.start()];
            let from = before.rfind("\n    pub").unwrap_or(0).max(before.rfind("=>").unwrap_or(0));
            before[from..].rsplit_once("let detail =").and_then(|(_, text)| text.split('"').nth(1))
        };
        add(codes, &found[2], status, literal.unwrap_or_default());
    }
}

/// What is wrong with single members, and refusals whose status stands further down.
fn members(source: &str, codes: &mut Codes) {
    let apart = regex(r"StatusCode::([A-Z_]+), code, detail").captures(source);
    let status = apart.map_or(422, |apart| status_named(&apart[1]));
    let chosen = regex(r#"(?:=>|return|\() \(?\(?\s*"([a-z]+_[a-z_]+)",\s*"([^"]*)""#);
    let arm = regex(r#"=> (?:\{\s*)?\(\s*"([a-z]+_[a-z_]+)",\s*(?:"([^"]*)")?"#);
    for found in chosen.captures_iter(source).chain(arm.captures_iter(source)) {
        add(codes, &found[1], status, found.get(2).map_or("", |text| text.as_str()));
    }
    for form in
        [r#"\bcode: "([a-z_]+)""#, r#"FieldError::at\([^"]*(?:"[^"]*",\s*)?"([a-z]+_[a-z_]+)""#]
    {
        for found in regex(form).captures_iter(source) {
            add(codes, &found[1], 422, "");
        }
    }
}

fn status_named(name: &str) -> u16 {
    let all = (400..600).filter_map(|status| StatusCode::from_u16(status).ok());
    let screaming = |status: &StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace([' ', '-'], "_")
    };
    let found = all.into_iter().find(|status| screaming(status) == name);
    found.unwrap_or_else(|| panic!("{name} is no status")).as_u16()
}

fn add(codes: &mut Codes, code: &str, status: u16, detail: &str) {
    let known = codes.entry(code.to_owned()).or_default();
    known.statuses.insert(status);
    // A literal may go on in the next line.
    let detail = regex(r"\\\n\s*").replace_all(detail, "");
    if !detail.is_empty() {
        known.details.insert(detail.into_owned());
    }
}

/// As the answer says it.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Compiled once: every file is read with the same few.
fn regex(pattern: &str) -> Regex {
    static KNOWN: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("no pattern is broken");
    let compiled = known.entry(pattern.to_owned());
    compiled.or_insert_with(|| Regex::new(pattern).expect("a pattern")).clone()
}
