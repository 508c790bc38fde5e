//! What of a stored event is public, and that nothing else is.

use crate::samples::{self, CIPHERTEXT};
use crate::{json_of, validate::complaints};
use domain::{AGGREGATES, EventSchema, PublicShape, event_schemas, public_schema};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The stored members that are not public. A new member stands here or in `domain/src/public/shapes.rs`.
const NOT_PUBLIC: [&str; 23] = [
    "AddressBanned.cidr",
    "AddressBanned.reason",
    "ApiKeyIssued.hash",
    "ApiKeyIssued.name",
    "ApiKeyRotated.hash",
    "OrderAddressChanged.contact",
    "OrderPlaced.contact",
    "PasswordChanged.password",
    "ProfileChanged.profile",
    "RecoveryCodeUsed.index",
    "RuleAdded.rule.note",
    "RuleChanged.rule.note",
    "SecondFactorConfirmed.step",
    "SecondFactorOffered.secret",
    "SecondFactorUsed.step",
    "SessionStarted.device",
    "SessionStarted.proved_at",
    "StockAdjusted.reason",
    "StockReceived.reason",
    "StockReleased.reason",
    "UserBanned.reason",
    "UserRegistered.password",
    "UserRegistered.profile",
];

/// Objects that are values: they are public as a whole, or not at all.
const VALUES: [&str; 2] = ["#/$defs/Money", "#/$defs/Sealed"];

/// What `write` makes of a payload.
fn part(
    write: impl Fn(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Result<String, serde_json::Error> {
    let mut out = b"before ".to_vec();
    write(&mut out)?;
    let written = String::from_utf8(out).expect("JSON is UTF-8");
    Ok(written.strip_prefix("before ").expect("what was there is kept").to_owned())
}

/// The public part of an event's first version.
fn public_part(event_type: &str, payload: &str) -> Result<String, serde_json::Error> {
    let shape = PublicShape::of(event_type, "1").expect("this build has it");
    part(|out| shape.write(payload, out))
}

/// The path of every member that `schema` knows, as `OrderPlaced.lines.sku`.
fn paths(root: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        if !VALUES.contains(&name) {
            let definition = root.pointer(name.trim_start_matches('#')).expect("it is there");
            paths(root, definition, at, found);
        }
        return;
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        paths(root, member, &at, found);
        found.insert(at);
    }
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|choice| schema[choice].as_array());
    for part in choices.flatten().chain(schema.get("items")) {
        paths(root, part, at, found);
    }
}

fn paths_of(event: &EventSchema, schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    paths(schema, schema, event.event_type, &mut found);
    found
}

#[test]
fn a_stored_member_is_public_only_where_somebody_said_so() {
    let mut not_public = BTreeSet::new();
    for event in event_schemas() {
        let shape = PublicShape::of(event.event_type, &event.version.to_string());
        let (mut said, mut withdrawn) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![(event.event_type.to_owned(), shape.expect("it has one").members)];
        while let Some((at, members)) = open.pop() {
            for member in members {
                let at = format!("{at}.{}", member.name);
                open.extend(member.members.map(|members| (at.clone(), members)));
                if member.withdrawn { &mut withdrawn } else { &mut said }.insert(at);
            }
        }
        let stored = paths_of(&event, &event.schema);
        let unknown: Vec<_> = said.union(&withdrawn).filter(|at| !stored.contains(*at)).collect();
        assert!(unknown.is_empty(), "public and not stored: {unknown:?}");
        not_public.extend(stored.difference(&said).cloned());
        // What is told is what was said. A member that is an object, and public as a whole, would be
        // told with all that it holds.
        let told = public_schema(&event).expect("it has a shape");
        assert_eq!(paths_of(&event, &told), said, "spell out what of these objects is public");
        let told = told.to_string();
        assert!(!told.contains("x-personal") && !told.contains("$sealed"), "sealed: {told}");
    }
    assert_eq!(not_public, NOT_PUBLIC.map(str::to_owned).into());
}

#[test]
fn what_the_public_sees_is_valid_against_what_it_is_told() {
    let schemas = event_schemas();
    for sample in samples::all() {
        let shape = PublicShape::of(&sample.event_type, &sample.event_version);
        let shape = shape.expect("this build has it");
        let public = part(|out| shape.write(&sample.payload, out));
        let public = public.expect("payloads have their event's shape");
        assert!(!public.contains(CIPHERTEXT) && !public.contains("$sealed"), "{public}");
        let is_its = |event: &&EventSchema| {
            event.event_type == sample.event_type
                && event.version.to_string() == sample.event_version
        };
        let event = schemas.iter().find(is_its).expect("it has a schema");
        let mut told = public_schema(event).expect("it has a shape");
        // Nothing beyond what is told.
        told["additionalProperties"] = json!(false);
        if told.get("properties").is_none() {
            told["properties"] = json!({});
        }
        let complaints = complaints(&told, &json_of(&public));
        assert!(complaints.is_empty(), "{}: {complaints:#?}", sample.event_type);
        let kept: BTreeSet<_> = paths_of(event, &told);
        for name in json_of(&sample.payload).as_object().expect("an object").keys() {
            let is_kept = json_of(&public).get(name).is_some();
            assert_eq!(is_kept, kept.contains(&format!("{}.{name}", sample.event_type)));
        }
    }
}

#[test]
fn a_member_that_nobody_said_anything_of_is_not_public_at_any_depth() {
    let payload = r#"{"sku":"a","later":{"deep":[1]},"quantity":2,"unit_price":null,"secret":{"$sealed":"x"}}"#;
    assert_eq!(
        public_part("QuantityChanged", payload).ok().as_deref(),
        Some(r#"{"sku":"a","quantity":2,"unit_price":null}"#)
    );
    let payload =
        r#"{"lines":[{"sku":"a","cost":1},{"cost":2}],"totals":{"cost":3,"tax":4},"pay_by":"x"}"#;
    assert_eq!(
        public_part("OrderPlaced", payload).ok().as_deref(),
        Some(r#"{"lines":[{"sku":"a"},{}],"pay_by":"x","totals":{"tax":4}}"#)
    );
}

#[test]
fn what_is_public_goes_out_byte_by_byte_but_on_one_line() {
    let part = |payload| public_part("ProductPriced", payload).ok();
    assert_eq!(
        part(r#"{ "price":1.50 , "sku" : "a\nb\ud83c\udf75" }"#).as_deref(),
        Some(r#"{"sku":"a\nb\ud83c\udf75","price":1.50}"#)
    );
    assert_eq!(part("{\r\n\"price\"\n:\n[1,\r\n 2]}\n").as_deref(), Some(r#"{"price":[1,2]}"#));
    assert_eq!(part(r#"{"pri\u0063e":1}"#).as_deref(), Some(r#"{"price":1}"#));
}

#[test]
fn what_was_withdrawn_goes_out_no_more_and_is_recognised_where_it_went_out() {
    for (event_type, withdrawn, stored, public) in [
        ("UserBanned", &["reason"][..], r#"{"reason":"Ann","until":null}"#, r#"{"until":null}"#),
        (
            "AddressBanned",
            &["cidr", "reason"],
            r#"{"ban_id":"b","cidr":"192.0.2.7/32","reason":"Ann","until":null}"#,
            r#"{"ban_id":"b","until":null}"#,
        ),
        (
            "RuleAdded",
            &["rule/note"],
            r#"{"rule_id":"r","rule":{"path":"/","note":"Ann"}}"#,
            r#"{"rule_id":"r","rule":{"path":"/"}}"#,
        ),
        ("OrderPaid", &[], r#"{"payment_id":"p"}"#, r#"{"payment_id":"p"}"#),
    ] {
        let shape = PublicShape::of(event_type, "1").expect("this build has it");
        assert_eq!(shape.withdrawn(), withdrawn, "{event_type}");
        assert_eq!(public_part(event_type, stored).ok().as_deref(), Some(public));
        let former = part(|out| shape.write_former(stored, out));
        assert_eq!(former.ok().as_deref(), Some(stored));
    }
}

#[test]
fn what_is_not_of_its_shape_is_not_shown() {
    for payload in ["", "1", "\"text\"", "{", "{}{}", r#"{"lines":7}"#, r#"{"lines":["text"]}"#] {
        assert!(public_part("OrderPlaced", payload).is_err(), "{payload}");
    }
    assert_eq!(
        public_part("OrderPlaced", r#"{"lines":null}"#).ok().as_deref(),
        Some(r#"{"lines":null}"#)
    );
}

#[test]
fn what_a_newer_build_wrote_has_no_shape_here() {
    for (event_type, version) in [("OrderPlaced", "2"), ("OrderPlaced", "x"), ("OrderPainted", "1")]
    {
        assert_eq!(PublicShape::of(event_type, version), None);
    }
    for events in AGGREGATES {
        for (event_type, version) in events.stored() {
            let shape = PublicShape::of(event_type, &version.to_string());
            assert_eq!(
                shape.map(|shape| (shape.event_type, shape.version)),
                Some((event_type, version))
            );
        }
    }
}
