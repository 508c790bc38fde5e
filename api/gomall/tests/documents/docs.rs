//! The generated documents are those of this build.
//!
//! `GOMALL_BLESS=1 cargo test -p gomall --test documents` writes them anew.

mod catalogue;
mod compatibility;
mod compatibility_tests;
mod errors;
mod schemas;
mod settings;
mod source;

use crate::generated::assert_generated;
use domain::{AGGREGATES, AggregateEvents};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the repository")
}

fn read(path: &str) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn the_event_catalogue_is_that_of_the_events() {
    assert_generated("docs/events.md", &catalogue::document(&source::aggregates(read)));
}

#[test]
fn the_event_catalogue_holds_every_event_with_every_field() {
    let aggregates = source::aggregates(read);
    let listed: Vec<_> = aggregates.iter().map(|aggregate| aggregate.name).collect();
    let existing: Vec<_> = AGGREGATES.iter().map(|events| events.aggregate_type).collect();
    assert_eq!(listed, existing);
    let folders = fs::read_dir(root().join("domain/src")).expect("the crate is there").flatten();
    let folders = folders.filter(|entry| entry.path().join("events.rs").exists());
    let folders: BTreeSet<_> =
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    assert_eq!(folders, existing.iter().map(|name| (*name).to_owned()).collect());
    for (aggregate, AggregateEvents { current, .. }) in aggregates.iter().zip(AGGREGATES) {
        let listed: Vec<_> = aggregate.events.iter().map(|event| event.name.as_str()).collect();
        let existing: Vec<_> = current.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, existing, "{}", aggregate.name);
        for (event, (name, version)) in aggregate.events.iter().zip(*current) {
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
fn the_event_schemas_are_those_of_the_events_and_break_none_that_was_stored() {
    assert_contract(
        "docs/event-schemas.json",
        &schemas::stored(),
        &[],
        "stored events would no longer be what it says; make it a new version",
    );
}

#[test]
fn the_public_event_schemas_are_those_of_the_events_and_take_nothing_from_a_reader() {
    assert_contract(
        "docs/public-event-schemas.json",
        &schemas::public(),
        &withdrawn(),
        "readers would miss what they were promised; a public member stays, or the event is a new version",
    );
}

/// What is gone because `domain/src/public/shapes.rs` says in so many words that it should never have been.
fn withdrawn() -> Vec<String> {
    let shapes = AGGREGATES.iter().flat_map(|events| events.public);
    let gone = shapes.flat_map(|shape| {
        let at = format!("{} version {}", shape.event_type, shape.version);
        shape.withdrawn().into_iter().map(move |member| format!("{at}/{member} is gone"))
    });
    gone.collect()
}

fn assert_contract(document: &str, generated: &Value, allowed: &[String], meaning: &str) {
    let kept: Value = serde_json::from_str(&read(document)).expect("the document is JSON");
    // Before anything is written: what is in the tree is what journals hold and readers were built
    // from, and cannot be blessed away.
    let mut breaks = compatibility::breaks(&kept, generated);
    breaks.retain(|found| !allowed.contains(found));
    assert!(breaks.is_empty(), "{document}: {meaning} (docs/recipes/add-an-event.md): {breaks:#?}");
    assert_generated(document, &format!("{generated:#}\n"));
}

#[test]
fn every_role_is_explained() {
    let document = read("docs/operations.md");
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    for role in settings::roles() {
        let explained = rows.iter().any(|row| {
            let mut names = row.split('`').skip(1).step_by(2);
            names.any(|name| name.split(' ').next() == Some(&*role))
        });
        assert!(explained, "docs/operations.md does not say what `gomall {role}` does");
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
    assert_generated(DOCUMENT, &format!("{before}{begin}\n{table}{end}{after}"));
}

#[test]
fn the_error_codes_are_those_of_the_source() {
    let mut codes = errors::Codes::new();
    let mut folders: Vec<_> =
        ["domain/src", "commands/src", "api/src"].map(|folder| root().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the source can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_str().expect("our files have plain names");
            if path.is_dir() {
                folders.extend((!name.ends_with("tests")).then_some(path));
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                errors::read(&fs::read_to_string(path).expect("it can be read"), &mut codes);
            }
        }
    }
    assert_generated("docs/errors.md", &errors::document(&codes));
}
