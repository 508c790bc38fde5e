//! The shape of the repository: which crate may know which, what lies where, and that the
//! documents name only what exists.

mod documents;

use documents::{Document, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every crate with the crates of ours that it may depend on, and those that its tests may use
/// beside them. `api` is where the parts are put together, `gomall` is the binary.
const MAY_USE: [(&str, &[&str], &[&str]); 12] = [
    ("domain", &[], &[]),
    ("follow", &["domain"], &["compose"]),
    ("commands", &["domain", "follow"], &["compose", "testkit"]),
    ("projections", &["domain", "follow"], &["compose", "testkit"]),
    ("nats", &["domain", "follow"], &["compose", "testkit"]),
    ("compose", &[], &[]),
    ("testkit", &["domain", "compose"], &[]),
    ("provider", &["domain", "commands"], &[]),
    ("sandbox", &["domain", "provider"], &["commands", "compose", "testkit"]),
    (
        "api",
        &["domain", "follow", "commands", "projections", "nats", "provider", "sandbox"],
        &["compose", "testkit"],
    ),
    ("laboratory", &["domain", "follow", "commands", "projections", "nats", "compose", "api"], &[]),
    (
        "gomall",
        &["domain", "commands", "projections", "nats", "compose", "api", "laboratory"],
        &["follow", "provider", "sandbox", "testkit"],
    ),
];

/// What may lie at the top beside files and what git ignores.
const FOLDERS: [&str; 8] =
    ["domain", "commands", "projections", "api", "nats", "migrations", "compose", "docs"];

#[test]
fn crates_know_each_other_in_one_direction_only() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo built this test");
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let ours: BTreeSet<_> =
        packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert_eq!(ours, MAY_USE.iter().map(|(name, ..)| *name).collect());
    for (name, uses, tests_use) in MAY_USE {
        let package = packages.iter().find(|package| package["name"] == name).expect("it is there");
        for dependency in package["dependencies"].as_array().expect("a list") {
            let used = dependency["name"].as_str().expect("a name");
            let for_tests = dependency["kind"] == "dev" && tests_use.contains(&used);
            let allowed = !ours.contains(used) || uses.contains(&used) || for_tests;
            assert!(allowed, "{name} must not depend on {used} ({})", dependency["kind"]);
        }
    }
}

#[test]
fn the_top_level_holds_the_crates_the_migrations_and_the_documents() {
    let ignored = fs::read_to_string(root().join(".gitignore")).expect("there is one");
    let ignored: BTreeSet<_> =
        ignored.lines().filter_map(|line| line.strip_prefix('/')).map(str::to_owned).collect();
    for entry in fs::read_dir(root()).expect("the repository can be read") {
        let entry = entry.expect("the repository can be read");
        let name = entry.file_name().into_string().expect("our folders have plain names");
        let is_folder = entry.file_type().expect("it is still there").is_dir();
        let expected =
            name.starts_with('.') || FOLDERS.contains(&&*name) || ignored.contains(&name);
        assert!(!is_folder || expected, "{name}/ has no place at the top level");
    }
}

/// `.ci/run` looks for the second one in the same way.
#[test]
fn the_readme_has_both_commands_each_on_a_line_of_its_own() {
    let readme = Document::read("README.md");
    for command in ["cargo run", "cargo test"] {
        let in_code = readme.code_lines().filter(|line| *line == command).count();
        assert_eq!(in_code, 1, "{command}");
    }
}

/// Words that never stand in some places, and why.
const NEVER: [(&str, &[&str], &str); 4] = [
    (
        "api/src/application/",
        &["axum", "Problem", "StatusCode", "http::", "HeaderMap", "headers"],
        "a use case knows no HTTP: other edges call it too",
    ),
    (
        "api/src/routes/",
        &["sqlx::query", "Plan::", ".bus.execute", ".bus.refuse", "bus.journal"],
        "a handler takes in, makes one call of the application, and renders",
    ),
    (
        "api/src/routes/",
        &["UserCommand::Erase", "step::<User>"],
        "nobody changes a user past the rule that an administrator stays",
    ),
    (
        "api/src/application/",
        &["crate::routes", "crate::edge", "crate::server", "crate::http"],
        "the application does not know who calls it",
    ),
];

#[test]
fn what_never_stands_somewhere_does_not_stand_there() {
    for (path, source) in sources(&root()) {
        // Tests say what an answer looks like in whatever words they need.
        if path.ends_with("_tests.rs") {
            continue;
        }
        let code: String =
            source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (place, words, why) in NEVER {
            if path.contains(place) {
                let found = words.iter().find(|word| code.contains(**word));
                assert_eq!(found, None, "{path}: {why}");
            }
        }
    }
}

/// The most lines of a file that has handlers: what is longer holds more than taking in, one call and rendering.
const MAX_HANDLER_LINES: usize = 150;

#[test]
fn a_file_with_handlers_never_has_more_than_150_lines() {
    let all = sources(&root().join("api/src/routes"));
    let handlers: Vec<_> =
        all.iter().filter(|(_, source)| source.contains("#[utoipa::path(")).collect();
    assert!(handlers.len() > 20, "handlers are found by what describes them: {}", handlers.len());
    for (path, source) in handlers {
        let lines = source.lines().count();
        assert!(
            lines <= MAX_HANDLER_LINES,
            "{path} has {lines} lines: split it by what it is about"
        );
    }
}

/// The folders of resources, and the files of their tests, below `api/src/routes` and `resources`.
#[test]
fn every_resource_has_its_file_of_tests_and_every_file_its_resource() {
    let tests = root().join("api/gomall/tests/shop/resources");
    let routes = root().join("api/src/routes").canonicalize().expect("the routes are there");
    let resources: BTreeSet<_> = sources(&routes)
        .into_iter()
        .filter(|(_, source)| source.contains("#[utoipa::path("))
        .map(|(path, _)| {
            let folder = Path::new(&path).parent().expect("a file lies in a folder");
            folder.strip_prefix(&routes).expect("it lies there").display().to_string()
        })
        .collect();
    assert!(resources.len() > 20, "resources are found by their handlers: {resources:?}");
    let stem = |(path, _): &(String, String)| {
        let file = Path::new(path).strip_prefix(&tests).expect("it lies there").with_extension("");
        (!file.ends_with("mod")).then(|| file.display().to_string())
    };
    let files: BTreeSet<_> = sources(&tests).iter().filter_map(stem).collect();
    assert_eq!(resources, files, "left the folders, right the files of tests");
    for resource in &resources {
        let (within, name) = resource.rsplit_once('/').unwrap_or((".", resource));
        let source = fs::read_to_string(tests.join(format!("{resource}.rs"))).expect("it is there");
        assert!(source.contains("#[tokio::test]"), "{resource}: its own story");
        let module = fs::read_to_string(tests.join(within).join("mod.rs")).expect("it is there");
        let declared = module.lines().any(|line| line.ends_with(&format!("mod {name};")));
        assert!(declared, "{resource}: no `mod {name};`, so its tests do not run");
    }
}

/// Two that are the same would keep each other waiting, for reasons that nobody could read.
#[test]
fn advisory_locks_are_named_in_one_table() {
    let table = fs::read_to_string(root().join("domain/src/locks.rs")).expect("the table");
    let constants =
        table.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": "));
    let constants: Vec<_> = constants.map(|(_, kind_and_value)| kind_and_value).collect();
    let once: BTreeSet<_> = constants.iter().collect();
    assert!(once.len() >= 5 && once.len() == constants.len(), "{constants:?}");
    let of_one_number: BTreeSet<String> = constants
        .iter()
        .filter_map(|constant| constant.strip_prefix("i64 = "))
        .map(|value| value.trim_end_matches(';').replace('_', ""))
        .collect();
    for (path, source) in sources(&root()) {
        let mut rest = source.as_str();
        while let Some((_, call)) = rest.split_once("advisory_") {
            rest = call;
            let Some(("lock" | "xact_lock" | "unlock" | "try_lock", argument)) =
                call.split_once('(')
            else {
                continue;
            };
            let argument = &argument[..argument.find([',', ')']).unwrap_or(argument.len())];
            let is_sql = path.ends_with(".sql");
            let known = argument.starts_with(['$', '{']) && !is_sql
                || path.ends_with("elections.rs") && argument == "class" // Given by who stands.
                || argument.starts_with("hashtextextended") // The tests' own, in another database.
                || is_sql && of_one_number.contains(argument);
            assert!(known, "{path}: a lock {argument} that the table does not name");
        }
    }
}

/// Every source file that takes part in the shop, with its text; tests apart.
fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).expect("the repository can be read").flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().expect("our files have plain names");
        if path.is_dir() {
            let skipped = name.starts_with('.') || ["target", "tests"].contains(&&*name);
            found.extend(if skipped { vec![] } else { sources(&path) });
        } else if name.ends_with(".rs") || name.ends_with(".sql") {
            let text = fs::read_to_string(&path).expect("it can be read");
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let mut named = 0;
    for document in documents::all() {
        for (file, name) in document.items().filter(|(_, name)| !documents::is_constant(name)) {
            let path = &document.path;
            let source = fs::read_to_string(root().join(&file));
            let source =
                source.unwrap_or_else(|_| panic!("{path} names {file}, which is not there"));
            assert!(documents::has_test(&source, &name), "{path} names {file}::{name}");
            named += 1;
        }
    }
    assert!(named > 50, "the tests' names are read as they are written: {named}");
}

#[test]
fn the_bounds_in_the_documents_are_those_of_the_source() {
    let mut compared = 0;
    for document in documents::all() {
        for (file, name) in document.items().filter(|(_, name)| documents::is_constant(name)) {
            let path = &document.path;
            let source = fs::read_to_string(root().join(&file));
            let source =
                source.unwrap_or_else(|_| panic!("{path} names {file}, which is not there"));
            let value = documents::constant(&source, &name);
            let value = value.unwrap_or_else(|| panic!("{path} names {file}::{name}"));
            let row = document.row_of(&file, &name);
            let said = row.is_some_and(|row| row.contains(&format!("`{value}`")));
            assert!(said, "{path}: {file}::{name} is `{value}`");
            compared += 1;
        }
    }
    assert!(compared > 30, "the bounds are read as they are written: {compared}");
}

#[test]
fn every_invariant_and_every_pain_names_its_test() {
    for path in ["docs/invariants.md", "docs/pains.md"] {
        let document = Document::read(path);
        let rows: Vec<_> = document.table_rows().collect();
        assert!(rows.len() > 10, "{path} has a table");
        for row in rows {
            assert!(row.contains(".rs::"), "{path}: no test in {row}");
        }
    }
}

#[test]
fn whatever_the_documents_link_to_or_name_is_there() {
    for document in documents::all() {
        for target in document.links().into_iter().chain(document.paths()) {
            assert!(target.exists(), "{} names {}", document.path, target.display());
        }
    }
}
