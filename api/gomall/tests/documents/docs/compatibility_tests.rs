use super::compatibility::breaks;
use serde_json::{Value, json};

/// A document with one event, whose schema is `schema`.
fn document(schema: Value) -> Value {
    json!({ "events": { "lamp": { "LampLit": { "1": schema } } }, "$defs": {} })
}

/// An event with members `a`, always there, and `b`, optional.
fn event(a: Value, b: Value) -> Value {
    document(json!({ "type": "object", "properties": { "a": a, "b": b }, "required": ["a"] }))
}

/// The event with `a` alone.
fn holding(a: Value) -> Value {
    event(a, json!({ "type": "string" }))
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// `now` after `before` is refused for this one reason.
#[track_caller]
fn assert_breaks(before: Value, now: Value, reason: &str) {
    assert_eq!(breaks(&document(before), &document(now)), [format!("LampLit version 1{reason}")]);
}

#[track_caller]
fn assert_member_breaks(before: Value, now: Value, reason: &str) {
    let expected = [format!("LampLit version 1/a {reason}")];
    assert_eq!(breaks(&holding(before), &holding(now)), expected);
}

#[track_caller]
fn assert_member_passes(before: Value, now: Value) {
    assert_eq!(breaks(&holding(before), &holding(now)), Vec::<String>::new());
}

#[test]
fn the_same_again_is_no_break_and_words_do_not_matter() {
    assert_member_passes(text(), text());
    let explained = json!({ "type": "string", "description": "A", "title": "B", "default": "" });
    assert_member_passes(text(), explained.clone());
    assert_member_passes(explained, text());
}

#[test]
fn the_envelope_takes_nothing_from_a_reader_either() {
    let published = |envelope: Value| json!({ "envelope": envelope, "events": {}, "$defs": {} });
    let of = |required: &[&str]| {
        let members = json!({ "id": text(), "actor": text() });
        published(json!({ "type": "object", "properties": members, "required": required }))
    };
    assert_eq!(breaks(&of(&["id"]), &of(&["id"])), Vec::<String>::new());
    let absent = "the envelope/id was always there and may be absent";
    assert_eq!(breaks(&of(&["id"]), &of(&[])), [absent]);
}

#[test]
fn a_new_type_or_version_is_no_break_and_one_that_is_gone_is() {
    let kept = holding(text());
    let mut grown = kept.clone();
    grown["events"]["lamp"]["LampLit"]["2"] = json!({ "type": "object" });
    grown["events"]["lamp"]["LampDimmed"]["1"] = json!({ "type": "object" });
    grown["events"]["fan"]["FanStarted"]["1"] = json!({ "type": "object" });
    assert_eq!(breaks(&kept, &grown), Vec::<String>::new());
    let lost = breaks(&grown, &kept);
    let gone = |what: &str| format!("{what} is gone, and journals hold it");
    let expected = ["FanStarted version 1", "LampDimmed version 1", "LampLit version 2"].map(gone);
    assert_eq!(lost, expected);
}

#[test]
fn an_optional_member_may_come_and_nothing_else_may_come_or_go() {
    let before = json!({ "type": "object", "properties": { "a": text() }, "required": ["a"] });
    let mut optional = before.clone();
    optional["properties"]["c"] = text();
    assert_eq!(
        breaks(&document(before.clone()), &document(optional.clone())),
        Vec::<String>::new()
    );
    assert_breaks(optional.clone(), before.clone(), "/c is gone");
    let mut demanded = optional.clone();
    demanded["required"] = json!(["a", "c"]);
    assert_breaks(before.clone(), demanded.clone(), "/c is new and required");
    assert_breaks(optional.clone(), demanded.clone(), "/c was optional and is required");
    assert_breaks(demanded, optional.clone(), "/c was always there and may be absent");
    let mut closed = before.clone();
    closed["additionalProperties"] = json!(false);
    assert_breaks(before, closed.clone(), " is closed to members that it let pass");
    optional["additionalProperties"] = json!(false);
    assert_breaks(closed, optional, "/c is new in an object that was closed");
}

#[test]
fn a_member_keeps_its_type() {
    assert_member_breaks(text(), json!({ "type": "integer" }), "has another type");
    assert_member_breaks(text(), json!({ "type": ["string", "null"] }), "has another type");
    let uuid = json!({ "type": "string", "format": "uuid" });
    assert_member_breaks(text(), uuid.clone(), "has another format");
    assert_member_breaks(uuid, text(), "has another format");
    let list = |of: Value| json!({ "type": "array", "items": of });
    let expected = ["LampLit version 1/a/* has another type"];
    let (before, now) = (holding(list(text())), holding(list(json!({ "type": "integer" }))));
    assert_eq!(breaks(&before, &now), expected);
    let untold = json!({ "type": "array" });
    assert_member_breaks(list(text()), untold, "says something else about its items");
}

#[test]
fn what_is_sealed_stays_sealed_and_what_is_not_stays_open() {
    let sealed = json!({ "type": "object", "x-personal": true });
    let open = json!({ "type": "object" });
    assert_member_breaks(sealed.clone(), open.clone(), "has another x-personal");
    assert_member_breaks(open, sealed, "has another x-personal");
}

#[test]
fn bounds_may_widen_and_never_narrow() {
    for (keyword, narrow, wide) in [
        ("minimum", 1, 0),
        ("minLength", 1, 0),
        ("minItems", 1, 0),
        ("maximum", 9, 10),
        ("maxLength", 9, 10),
        ("maxItems", 9, 10),
    ] {
        let bound = |value: i32| json!({ keyword: value });
        let reason = format!("has a narrower {keyword}");
        assert_member_passes(bound(narrow), bound(wide));
        assert_member_passes(bound(narrow), json!({}));
        assert_member_breaks(bound(wide), bound(narrow), &reason);
        assert_member_breaks(json!({}), bound(wide), &reason);
    }
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    assert_member_passes(pattern("^a$"), text());
    assert_member_breaks(pattern("^a$"), pattern("^[ab]$"), "has another pattern");
    assert_member_breaks(text(), pattern("^a$"), "has another pattern");
}

#[test]
fn a_choice_of_values_may_grow_and_never_shrink() {
    let one_of = |values: &[&str]| {
        let consts = values.iter().map(|value| json!({ "type": "string", "const": value }));
        json!({ "oneOf": consts.collect::<Vec<_>>() })
    };
    let listed = |values: &[&str]| json!({ "type": "string", "enum": values });
    assert_member_passes(one_of(&["on", "off"]), one_of(&["off", "dim", "on"]));
    assert_member_passes(listed(&["on", "off"]), listed(&["off", "dim", "on"]));
    assert_member_passes(listed(&["on"]), text());
    assert_member_breaks(one_of(&["on", "off"]), one_of(&["on"]), "can no longer be \"off\"");
    assert_member_breaks(listed(&["on", "off"]), listed(&["on"]), "can no longer be \"off\"");
    let few = "could be anything and is one of few values now";
    assert_member_breaks(text(), listed(&["on"]), few);
}

#[test]
fn other_choices_keep_their_branches() {
    let or_null = |one: Value| json!({ "anyOf": [one, { "type": "null" }] });
    assert_member_passes(or_null(text()), or_null(text()));
    let before = holding(or_null(text()));
    let expected = ["LampLit version 1/a choice 1 has another type"];
    assert_eq!(breaks(&before, &holding(or_null(json!({ "type": "integer" })))), expected);
    let without = json!({ "anyOf": [text()] });
    assert_member_breaks(or_null(text()), without, "has other choices");
}

#[test]
fn a_change_in_a_shared_type_is_found_wherever_it_is_used() {
    let of = |shared: Value| {
        let mut document = holding(json!({ "$ref": "#/$defs/Shared", "description": "A." }));
        document["$defs"]["Shared"] = shared;
        document
    };
    let expected = ["LampLit version 1/a has another type"];
    assert_eq!(breaks(&of(text()), &of(json!({ "type": "integer" }))), expected);
    // A name is nobody's contract.
    let mut renamed = holding(json!({ "$ref": "#/$defs/Other" }));
    renamed["$defs"]["Other"] = text();
    assert_eq!(breaks(&of(text()), &renamed), Vec::<String>::new());
}

#[test]
fn a_keyword_that_nobody_judged_may_not_change() {
    assert_member_breaks(text(), json!({ "type": "string", "not": {} }), "has another not");
}
