//! The generated documents are those of this build.
//!
//! `GOMALL_BLESS=1 cargo test -p api --test docs` writes them anew.

#[path = "docs/catalogue.rs"]
mod catalogue;
#[path = "docs/settings.rs"]
mod settings;
#[path = "docs/source.rs"]
mod source;

use domain::AGGREGATES;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the crate lies in the repository")
}

fn read(path: &str) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The document at `path` is `expected`; with `GOMALL_BLESS` it becomes so.
fn assert_current(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("GOMALL_BLESS").is_some() {
        fs::write(&file, expected).expect("the document can be written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).position(|(found, right)| found != right);
    let line = differs.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1;
    assert!(
        found == expected,
        "{path} is out of date from line {line} on; write it anew with \
         `GOMALL_BLESS=1 cargo test -p api --test docs` and look at what changed"
    );
}

#[test]
fn the_event_catalogue_is_that_of_the_events() {
    assert_current("docs/events.md", &catalogue::document(&source::aggregates(read)));
}

#[test]
fn the_event_catalogue_holds_every_event_with_every_field() {
    let aggregates = source::aggregates(read);
    let listed: Vec<_> = aggregates.iter().map(|aggregate| aggregate.name).collect();
    let existing: Vec<_> = AGGREGATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, existing);
    for (aggregate, (_, types)) in aggregates.iter().zip(AGGREGATES) {
        let listed: Vec<_> = aggregate.events.iter().map(|event| event.name.as_str()).collect();
        let existing: Vec<_> = types.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, existing, "{}", aggregate.name);
        for (event, (name, version)) in aggregate.events.iter().zip(*types) {
            let stored = read(&format!("domain/tests/golden/{name}.v{version}.json"));
            let stored: Value = serde_json::from_str(&stored).expect("golden files are JSON");
            let stored = stored.as_object().expect("a payload is an object");
            let stored: BTreeSet<_> = stored.keys().map(String::as_str).collect();
            let listed = event.fields.iter().filter(|field| !field.may_be_absent);
            let listed: BTreeSet<_> = listed.map(|field| field.name.as_str()).collect();
            assert_eq!(listed, stored, "{name}");
        }
    }
}

#[test]
fn the_settings_are_those_of_the_binary() {
    const DOCUMENT: &str = "docs/operations.md";
    let document = read(DOCUMENT);
    let (before, rest) = document.split_once(settings::BEGIN).expect("the table has a beginning");
    let (_, after) = rest.split_once(settings::END).expect("the table has an end");
    let table = settings::table();
    let (begin, end) = (settings::BEGIN, settings::END);
    assert_current(DOCUMENT, &format!("{before}{begin}\n{table}{end}{after}"));
}
