//! What holds for the stored form of every event of every aggregate.

#[path = "events/public.rs"]
mod public;
mod samples;
#[path = "events/schemas.rs"]
mod schemas;
#[path = "events/validate.rs"]
mod validate;

use cqrs_es::Aggregate;
use domain::cart::Cart;
use domain::order::Order;
use domain::payment::Payment;
use domain::policy::Policy;
use domain::product::Product;
use domain::session::Session;
use domain::stock::StockItem;
use domain::user::User;
use domain::{AGGREGATES, EventTypes, decode_event, decode_parsed, encode_event};
use samples::{Reread, Sample};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::{env, fs};

#[test]
fn every_event_type_has_a_sample() {
    let listed: BTreeSet<_> = AGGREGATES
        .iter()
        .flat_map(|events| events.current.iter().map(|known| (events.aggregate_type, *known)))
        .map(|(aggregate, (name, version))| (aggregate, name.to_owned(), version.to_string()))
        .collect();
    let sampled: BTreeSet<_> = samples::all()
        .into_iter()
        .map(|sample| (sample.aggregate_type, sample.event_type, sample.event_version))
        .collect();
    assert_eq!(sampled, listed);
}

#[test]
fn an_event_type_belongs_to_one_aggregate() {
    // `/events?types=` and the golden files know a type by its name alone.
    let mut owners = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for events in AGGREGATES {
        for (name, version) in events.stored() {
            let owner = owners.entry(name).or_insert(events.aggregate_type);
            assert_eq!(*owner, events.aggregate_type, "{name}");
            assert!(versions.insert((name, version)), "{name} version {version} is there twice");
        }
    }
}

fn assert_round_trip<E: EventTypes>(events: Vec<E>) {
    for event in events {
        let payload = encode_event(&event).expect("events encode");
        let decoded: E = decode_event(&event.event_type(), &event.event_version(), &payload)
            .expect("what was encoded decodes");
        assert_eq!(decoded, event);
        let fields: Value = serde_json::from_str(&payload).expect("a payload is JSON");
        let parsed: E = decode_parsed(&event.event_type(), &event.event_version(), fields.clone())
            .expect("what is text can be parsed before");
        assert_eq!(parsed, event);
        assert!(fields.is_object(), "{payload}");
        assert!(fields.get(event.event_type()).is_none(), "the type has a column of its own");
    }
}

#[test]
fn every_event_reads_back_as_it_was_written() {
    assert_round_trip(samples::product());
    assert_round_trip(samples::stock());
    assert_round_trip(samples::cart());
    assert_round_trip(samples::order());
    assert_round_trip(samples::payment());
    assert_round_trip(samples::user());
    assert_round_trip(samples::session());
    assert_round_trip(samples::policy());
}

/// Every state on the way through the samples, with and without what comes later.
fn assert_states_round_trip<A: Aggregate + PartialEq + Debug>(events: Vec<A::Event>) {
    let mut state = A::default();
    for event in events {
        state.apply(event);
        let json = serde_json::to_string(&state).expect("states encode");
        let read: A = serde_json::from_str(&json).expect("what was encoded decodes");
        assert_eq!(read, state);
    }
}

#[test]
fn every_state_reads_back_as_it_was_written() {
    assert_states_round_trip::<Product>(samples::product());
    assert_states_round_trip::<StockItem>(samples::stock());
    assert_states_round_trip::<Cart>(samples::cart());
    assert_states_round_trip::<Order>(samples::order());
    assert_states_round_trip::<Payment>(samples::payment());
    assert_states_round_trip::<User>(samples::user());
    assert_states_round_trip::<Session>(samples::session());
    assert_states_round_trip::<Policy>(samples::policy());
}

#[test]
fn a_member_that_a_newer_build_added_does_not_hinder_an_older_one() {
    for sample in samples::all() {
        let mut fields = json_of(&sample.payload);
        fields["added_later"] = json!({ "anything": 1 });
        let Sample { event_type, event_version, reread, .. } = sample;
        let reread = reread(&event_type, &event_version, &fields.to_string());
        assert_eq!(reread.expect("it decodes"), sample.payload, "{event_type}");
    }
}

#[test]
fn an_event_that_this_build_does_not_know_is_named_in_the_error() {
    let error = |event_type: &str, version: &str, payload: &str| {
        let decoded = decode_event::<domain::cart::CartEvent>(event_type, version, payload);
        decoded.expect_err("there is no such event").to_string()
    };
    assert_eq!(
        error("CartPainted", "3", "{}"),
        "event CartPainted version 3 cannot be decoded: this build does not know the type"
    );
    // It reads as one of today, and is none.
    let opened = format!(r#"{{"owner_id":"{}"}}"#, uuid::Uuid::nil());
    for version in ["0", "2", "", "1.0", "-1", "99999999999"] {
        assert_eq!(
            error("CartOpened", version, &opened),
            format!(
                "event CartOpened version {version} cannot be decoded: the newest version that this build knows is 1"
            )
        );
    }
    for damaged in
        ["", "{", "[]", "null", "{}", &format!("{opened}}}"), &format!("{opened},{opened}")]
    {
        assert!(error("CartOpened", "1", damaged).contains("version 1 cannot be"), "{damaged}");
    }
}

fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden_name(event_type: &str, event_version: &str) -> String {
    format!("{event_type}.v{event_version}.json")
}

/// `GOMALL_WRITE_GOLDEN=1 cargo test -p domain --test events` writes the files of events that have
/// none yet. A file that exists is what journals hold and is never written again.
fn write_missing_golden_files() {
    if env::var_os("GOMALL_WRITE_GOLDEN").is_none() {
        return;
    }
    fs::create_dir_all(golden_folder()).expect("the folder can be made");
    for sample in samples::all() {
        let file = golden_folder().join(golden_name(&sample.event_type, &sample.event_version));
        if !file.exists() {
            fs::write(file, format!("{}\n", sample.payload)).expect("the file can be written");
        }
    }
}

fn golden_files() -> BTreeMap<String, String> {
    let folder = fs::read_dir(golden_folder()).into_iter().flatten();
    let files = folder.map(|entry| entry.expect("the folder can be read"));
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().expect("golden files have plain names");
        (name, fs::read_to_string(file.path()).expect("golden files are text"))
    };
    files.map(read).collect()
}

#[test]
fn every_event_version_that_was_ever_stored_is_understood_whole() {
    write_missing_golden_files();
    let files = golden_files();
    let stored = || AGGREGATES.iter().flat_map(|events| events.stored());
    for (event_type, version) in stored() {
        let name = golden_name(event_type, &version.to_string());
        assert!(
            files.contains_key(&name),
            "tests/golden/{name} is missing; write it with \
             `GOMALL_WRITE_GOLDEN=1 cargo test -p domain --test events` and commit it"
        );
    }
    let readers = readers();
    for (name, payload) in files {
        let (event_type, version) = name
            .strip_suffix(".json")
            .and_then(|name| name.split_once(".v"))
            .unwrap_or_else(|| panic!("tests/golden/{name} is not named <Type>.v<version>.json"));
        let reader = readers
            .get(event_type)
            .unwrap_or_else(|| panic!("tests/golden/{name}: a stored type is never removed"));
        let reread = reader(event_type, version, &payload)
            .unwrap_or_else(|error| panic!("tests/golden/{name}: {error}"));
        let is_current = samples::all()
            .iter()
            .any(|sample| sample.event_type == event_type && sample.event_version == version);
        // An older version may be understood as other members; the one of today loses none.
        if is_current {
            assert_holds(&json_of(&reread), &json_of(&payload), &name);
        }
    }
}

/// For every stored type, what decodes it and encodes what was understood.
fn readers() -> BTreeMap<&'static str, Reread> {
    let of_aggregate: BTreeMap<_, _> =
        samples::all().into_iter().map(|sample| (sample.aggregate_type, sample.reread)).collect();
    let of_types = AGGREGATES.iter().flat_map(|events| {
        let reread = of_aggregate[events.aggregate_type];
        events.stored().into_iter().map(move |(event_type, _)| (event_type, reread))
    });
    of_types.collect()
}

/// Is everything that was stored still there?
fn assert_holds(understood: &Value, stored: &Value, whence: &str) {
    match (understood, stored) {
        (Value::Object(understood), Value::Object(stored)) => {
            for (member, value) in stored {
                let whence = format!("{whence}/{member}");
                let held = understood.get(member).unwrap_or_else(|| panic!("{whence} was lost"));
                assert_holds(held, value, &whence);
            }
        }
        (Value::Array(understood), Value::Array(stored)) => {
            assert_eq!(understood.len(), stored.len(), "{whence}");
            for (index, (held, value)) in understood.iter().zip(stored).enumerate() {
                assert_holds(held, value, &format!("{whence}/{index}"));
            }
        }
        (understood, stored) => assert_eq!(understood, stored, "{whence}"),
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}
