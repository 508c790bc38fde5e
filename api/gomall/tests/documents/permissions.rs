//! The role × route matrix under the rules that a new shop starts with: `docs/permissions.md`.

use crate::generated::assert_generated;
use domain::RoleName;
use domain::policy::{Caller, CompiledPolicy, canonical_path};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The columns. `authenticated` is somebody with a token to whom nothing was granted; everybody
/// after that was granted exactly the role of the column.
const ROLES: [&str; 7] =
    ["anonymous", "authenticated", "customer", "staff", "analyst", "service", "admin"];

/// Routes that the document does not describe: the document itself and its page, and what belongs
/// to the sandbox of payments.
const UNDESCRIBED: [(&str, &str); 5] = [
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/openapi.json"),
    ("GET", "/sandbox/payments/{id}"),
    ("POST", "/sandbox/payments/{id}"),
];

const HEADER: &str = "\
<!-- Generated; do not edit. The test `permissions` of the package `gomall` fails while this differs from
     the routes and the default rules; GOMALL_BLESS=1 cargo test -p gomall --test documents
     writes it. -->

# Who may do what

What the rules of a new shop (`api/src/routes/default_policy.rs`) say about every route. A shop
changes its rules while it runs: `GET /api/v1/admin/permission-rules` has those in force, and
`POST /api/v1/admin/permission-rules/explain` says why.

`authenticated` is anybody with a token; the other roles are granted, and hold what `authenticated`
holds as well. HEAD follows GET. Whose an order or a cart is the rules do not ask: handlers look at
that, and somebody else's looks absent.

## As a file

`gomall policy export` writes the rules and public paths of a shop as TOML, `gomall policy import` makes them
those of a file, all at once, and `gomall policy test` asks a policy the cases of a file without any server, so
that continuous integration does. [`permissions.example.toml`](permissions.example.toml) is such a file with its
cases; [change a permission](recipes/change-a-permission.md#as-files-in-review) has the commands.

## A new shop

";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One route and whom the rules let in, in the order of [`ROLES`].
struct Row {
    method: String,
    path: String,
    /// The document's word for what it is about; nothing for what it does not describe.
    tag: String,
    allowed: [bool; ROLES.len()],
}

impl Row {
    fn allows(&self, role: &str) -> bool {
        ROLES.iter().zip(self.allowed).any(|(name, allowed)| *name == role && allowed)
    }

    fn names(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[test]
fn the_matrix_in_the_tree_is_what_the_default_rules_say_about_the_routes() {
    assert_generated("docs/permissions.md", &(HEADER.to_owned() + &table(&matrix())));
}

/// `gomall policy test` without anything else around it.
fn policy_test(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gomall"))
        .args(["policy", "test"])
        .args(arguments)
        .current_dir(root())
        .env_clear()
        .output()
        .expect("the binary was built with the test");
    (output.status.success(), String::from_utf8(output.stdout).expect("it prints text"))
}

#[test]
fn the_cases_of_the_example_hold_and_fail_on_another_policy() {
    const EXAMPLE: &str = "docs/permissions.example.toml";
    assert_eq!(policy_test(&[EXAMPLE]), (true, "7 cases hold\n".to_owned()));
    let text = fs::read_to_string(root().join(EXAMPLE)).expect("the example");
    let other = env!("CARGO_TARGET_TMPDIR").to_owned() + "/other-policy.toml";
    // Interns are told apart no more.
    fs::write(&other, text.replace("\"intern\"]\nmethods", "\"outsider\"]\nmethods")).expect("it");
    let (success, said) = policy_test(&[EXAMPLE, "--policy", &other]);
    assert!(!success);
    let expected = "POST /api/v1/admin/stock/tea-1/adjust as intern,staff is allowed by \
                    '/api/v1/admin/(products|stock)(/.*)?', expected denied by";
    assert!(said.starts_with("line ") && said.contains(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn nothing_of_staff_is_open_to_people_who_are_none() {
    for row in matrix().iter().filter(|row| row.path.starts_with("/api/v1/admin/")) {
        for outsider in ["anonymous", "authenticated", "customer", "analyst"] {
            assert!(!row.allows(outsider), "{outsider} {}", row.names());
        }
    }
}

#[test]
fn only_administrators_decide_who_may_do_what() {
    let rows = matrix();
    let about_access = |row: &&Row| {
        let of_staff = row.path.starts_with("/api/v1/admin/");
        of_staff && ["permissions", "users"].contains(&row.tag.as_str())
    };
    let mut seen = BTreeSet::new();
    for row in rows.iter().filter(about_access) {
        seen.insert(row.tag.as_str());
        let allowed: Vec<_> = ROLES.iter().filter(|role| row.allows(role)).collect();
        assert_eq!(allowed, [&"admin"], "{}", row.names());
    }
    assert_eq!(seen.len(), 2, "the tags have other names: {seen:?}");
}

#[test]
fn a_role_adds_to_what_everybody_may_and_administrators_may_everything() {
    for row in matrix() {
        assert!(row.allows("admin"), "{}", row.names());
        assert!(!row.allows("anonymous") || row.allows("authenticated"), "{}", row.names());
        for role in &ROLES[2..] {
            assert!(!row.allows("authenticated") || row.allows(role), "{role} {}", row.names());
        }
    }
}

#[test]
fn without_a_token_nothing_changes_but_sessions_and_what_a_provider_signs() {
    let open = ["/api/v1/auth/", "/api/v1/webhooks/", "/sandbox/"];
    for row in matrix().iter().filter(|row| row.method != "GET" && row.allows("anonymous")) {
        assert!(open.iter().any(|prefix| row.path.starts_with(prefix)), "{}", row.names());
    }
}

#[test]
fn analysts_and_services_only_read() {
    for row in matrix().iter().filter(|row| row.method != "GET") {
        for reader in ["analyst", "service"] {
            assert_eq!(row.allows(reader), row.allows("authenticated"), "{reader} {}", row.names());
        }
    }
}

/// All routes, by path and method.
fn matrix() -> Vec<Row> {
    let policy = default_policy();
    let mut routes: Vec<(String, String, String)> = described();
    let undescribed = UNDESCRIBED.map(|(method, path)| (path, method, ""));
    routes.extend(undescribed.map(|(path, method, tag)| (path.into(), method.into(), tag.into())));
    routes.sort();
    routes
        .into_iter()
        .map(|(path, method, tag)| {
            let sample = sample(&path);
            let sample = canonical_path(&sample).expect("our paths are canonical");
            let allowed = ROLES.map(|role| {
                let granted = match role {
                    "anonymous" => return policy.decide(Caller::Anonymous, &method, sample),
                    "authenticated" => BTreeSet::new(),
                    granted => BTreeSet::from([RoleName::known(granted)]),
                };
                policy.decide(Caller::SignedIn(&granted), &method, sample)
            });
            Row { method, path, tag, allowed: allowed.map(domain::policy::Verdict::is_allowed) }
        })
        .collect()
}

/// Path, method and tag of every route that the document describes.
fn described() -> Vec<(String, String, String)> {
    let document = api::openapi::document().to_json().expect("plain data");
    let document: Value = serde_json::from_str(&document).expect("it is JSON");
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().expect("operations by method").iter();
            operations.map(|(method, operation)| {
                let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
                (path.clone(), method.to_uppercase(), tag)
            })
        })
        .collect()
}

/// The path with something in the place of its parameters; no rule looks at what it is.
fn sample(path: &str) -> String {
    let segment =
        |segment: &'_ str| if segment.starts_with('{') { "x" } else { segment }.to_owned();
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn default_policy() -> CompiledPolicy {
    let policy = api::routes::default_policy::policy();
    CompiledPolicy::compile(&policy, 1).expect("the default rules compile")
}

/// A Markdown table whose columns stand below each other, so that it is read as it is.
fn table(rows: &[Row]) -> String {
    let widest = |width: fn(&Row) -> usize| rows.iter().map(width).max().unwrap_or(0);
    let (method, path) = (widest(|row| row.method.len()), widest(|row| row.path.len() + 2));
    let line = |first: &str, second: &str, cells: [&str; ROLES.len()]| {
        let mut line = format!("| {first:method$} | {second:path$} |");
        for (cell, role) in cells.iter().zip(ROLES) {
            line.push_str(&format!(" {cell:^width$} |", width = role.len()));
        }
        line + "\n"
    };
    let mut table = line("", "route", ROLES);
    table.push_str(&format!("|{}|{}|", "-".repeat(method + 2), "-".repeat(path + 2)));
    table.push_str(&ROLES.map(|role| format!(":{}:|", "-".repeat(role.len()))).concat());
    table.push('\n');
    for row in rows {
        let cells = row.allowed.map(|allowed| if allowed { "✓" } else { "" });
        table.push_str(&line(&row.method, &format!("`{}`", row.path), cells));
    }
    table
}
