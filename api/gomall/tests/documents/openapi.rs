//! The OpenAPI document: `docs/openapi.json` is what the routes say, and it is a good one.

mod fits;

use crate::generated::assert_generated;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = api::openapi::document().to_json().expect("plain data");
    serde_json::from_str(&text).expect("it is JSON")
});

/// What may stand in a path item beside operations is nothing: we use none of it.
const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

#[test]
fn the_document_in_the_tree_is_what_the_routes_say() {
    let text = api::openapi::document().to_pretty_json().expect("plain data");
    assert_generated("docs/openapi.json", &(text + "\n"));
}

#[test]
fn it_says_what_it_is() {
    let version = DOCUMENT["openapi"].as_str().expect("a version");
    assert!(version.starts_with("3.1."), "{version}");
    for member in ["title", "version", "description"] {
        assert!(is_text(&DOCUMENT["info"][member]), "info.{member}");
    }
    let known = ["components", "info", "openapi", "paths", "servers", "tags"];
    for member in object(&DOCUMENT).keys() {
        assert!(known.contains(&member.as_str()), "{member}");
    }
}

#[test]
fn every_operation_has_a_name_a_summary_and_says_how_it_succeeds() {
    let mut names = BTreeSet::new();
    for (name, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name}: no id"));
        assert!(names.insert(id), "{name}: {id} is taken");
        assert!(is_text(&operation["summary"]), "{name}: no summary");
        assert!(!operation["summary"].to_string().contains("\\n"), "{name}: a summary is a line");
        let tags = operation["tags"].as_array();
        assert!(tags.is_some_and(|tags| tags.len() == 1), "{name}: one tag");
        let responses = object(&operation["responses"]);
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}: no success");
        for (status, response) in responses {
            // A default would say of every status that it may come.
            let known = status.parse().is_ok_and(|status| (100..600).contains(&status));
            assert!(known, "{name}: {status}");
            // The standard demands a description; an empty one tells nobody anything.
            assert!(is_text(&resolved(response)["description"]), "{name} {status}: no description");
        }
    }
}

#[test]
fn a_success_says_what_it_holds_and_an_error_is_a_problem() {
    for (name, operation) in operations() {
        for (status, response) in object(&operation["responses"]) {
            let content = resolved(response)["content"].as_object();
            let kinds: Vec<_> = content.map(|kinds| kinds.keys().collect()).unwrap_or_default();
            for (kind, media) in content.into_iter().flatten() {
                assert!(media["schema"].is_object(), "{name} {status} {kind}: no schema");
            }
            match status.as_str() {
                "202" | "204" | "304" => assert!(kinds.is_empty(), "{name} {status}: {kinds:?}"),
                success if success.starts_with('2') => {
                    let silent = name.contains("/webhooks/");
                    assert_eq!(kinds.is_empty(), silent, "{name} {status}: {kinds:?}");
                }
                _ => assert_eq!(kinds, ["application/problem+json"], "{name} {status}"),
            }
        }
    }
}

/// What an operation takes its handler's arguments say; that it is so the shop's own tests ask of a
/// running one. Here is what they cannot know: what a handler should have taken.
///
/// A POST that takes none is sent there, and must change nothing.
#[test]
fn whatever_replaces_or_removes_something_takes_a_key() {
    for (name, operation) in operations() {
        let takes_key = parameters(operation).contains_key("header Idempotency-Key");
        let changes =
            ["PUT /", "PATCH /", "DELETE /"].iter().any(|method| name.starts_with(method));
        assert!(takes_key || !changes, "{name}: take `Command` or `KeyedCommand`");
        assert!(!takes_key || !name.starts_with("GET "), "{name}: a read takes no key");
    }
}

#[test]
fn whatever_replaces_a_tagged_resource_takes_the_tag() {
    let operations = operations();
    for (name, operation) in &operations {
        let tagged = name.strip_prefix("PUT ").or_else(|| name.strip_prefix("PATCH "));
        let read = tagged.map(|path| format!("GET {path}"));
        let read = operations.iter().find(|(name, _)| Some(name) == read.as_ref());
        let tagged =
            read.is_some_and(|(_, read)| parameters(read).contains_key("header If-None-Match"));
        let condition =
            parameters(operation).get("header If-Match").map(|one| one["required"] == true);
        assert_eq!(condition, tagged.then_some(true), "{name}: take `IfMatch`");
    }
}

#[test]
fn every_read_of_the_shop_waits_for_what_it_is_asked_to_see() {
    for (name, operation) in operations() {
        let waits = parameters(operation).contains_key("header Gomall-Position");
        assert_eq!(waits, name.starts_with("GET /api/v1/"), "{name}: take `AtLeast`");
    }
}

/// Those of requests are sent by the tests of the conventions.
#[test]
fn every_body_has_an_example_that_is_like_its_schema() {
    let mut looked_at = 0;
    for (name, operation) in operations() {
        let mut medias = vec![&operation["requestBody"]["content"]["application/json"]];
        for (status, response) in object(&operation["responses"]) {
            if status.starts_with('2') {
                medias.push(&response["content"]["application/json"]);
            }
        }
        for media in medias.into_iter().filter(|media| media.is_object()) {
            let several = media["examples"].as_object().into_iter().flat_map(Map::values);
            let examples: Vec<_> =
                several.map(|one| &one["value"]).chain(media.get("example")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                fits::assert_fits(&name, &media["schema"], example);
                assert_no_filler(&name, example);
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 50, "{looked_at}");
}

/// An example that says only `text` explains nothing: the type has one, or `MEMBERS` of
/// `api/src/openapi/example.rs` the member.
fn assert_no_filler(place: &str, example: &Value) {
    match example {
        Value::String(text) => assert_ne!(text, "text", "{place} has no example"),
        Value::Array(items) => items.iter().for_each(|item| assert_no_filler(place, item)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, one)| assert_no_filler(&format!("{place} {name}"), one));
        }
        _ => {}
    }
}

#[test]
fn parameters_are_those_of_the_path_and_each_has_a_schema_and_an_example() {
    for (name, operation) in operations() {
        let template: BTreeSet<String> = name
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .map(|parameter| format!("path {parameter}"))
            .collect();
        let parameters = parameters(operation);
        let in_path = parameters.keys().filter(|parameter| parameter.starts_with("path "));
        assert_eq!(in_path.cloned().collect::<BTreeSet<_>>(), template, "{name}");
        for (parameter, described) in parameters {
            assert!(described["schema"].is_object(), "{name}: {parameter}");
            let places = [described, resolved(&described["schema"])];
            let is_explained = places.iter().any(|place| is_text(&place["description"]));
            assert!(is_explained, "{name}: {parameter} is not explained");
            let place = format!("{name}: {parameter}");
            fits::assert_fits(&place, &described["schema"], &described["example"]);
            if parameter.starts_with("path ") {
                assert_eq!(described["required"], true, "{name}: {parameter}");
            }
        }
    }
}

#[test]
fn bodies_are_json_and_refuse_what_they_do_not_name() {
    for (name, operation) in operations() {
        let Some(body) = operation.get("requestBody") else { continue };
        assert_eq!(body["required"], true, "{name}");
        let content = object(&body["content"]);
        assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"], "{name}");
        assert_closed(&name, &content["application/json"]["schema"]);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let text = DOCUMENT.to_string();
    for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn schemas_use_only_what_their_types_have() {
    for (name, schema) in object(&DOCUMENT["components"]["schemas"]) {
        fits::assert_schema(name, schema);
    }
}

/// A fingerprint of what people choose themselves could be guessed.
#[test]
fn no_fingerprint_is_made_of_a_member_that_is_a_password() {
    fn passwords(at: &str, value: &Value, found: &mut BTreeSet<String>) {
        if value["format"] == "password" {
            found.insert(at.to_owned());
        }
        let members = value.as_object().into_iter().flatten();
        members.for_each(|(name, member)| passwords(name, member, found));
        value.as_array().into_iter().flatten().for_each(|item| passwords(at, item, found));
    }
    let mut found = BTreeSet::new();
    passwords("", &DOCUMENT, &mut found);
    let left_out: BTreeSet<String> = api::http::SECRET_MEMBERS.map(str::to_owned).into();
    assert_eq!(found, left_out);
}

/// Every operation as `METHOD /path`.
fn operations() -> Vec<(String, &'static Value)> {
    let mut operations = vec![];
    for (path, item) in object(&DOCUMENT["paths"]) {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in object(item) {
            assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

/// The operation's parameters as `place name`, each named once.
fn parameters(operation: &Value) -> BTreeMap<String, &Value> {
    let mut named = BTreeMap::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(parameter);
        let part = |member: &str| parameter[member].as_str().expect("text").to_owned();
        let name = format!("{} {}", part("in"), part("name"));
        assert!(named.insert(name, parameter).is_none(), "{parameter} twice");
    }
    named
}

/// An object of a request, however deep, says that it takes no other members.
fn assert_closed(place: &str, schema: &Value) {
    let schema = resolved(schema);
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{place}");
        for (name, property) in properties {
            assert_closed(&format!("{place} {name}"), property);
        }
    }
    for nested in ["oneOf", "allOf", "anyOf"] {
        for schema in schema[nested].as_array().into_iter().flatten() {
            assert_closed(place, schema);
        }
    }
    if let Some(items) = schema.get("items") {
        assert_closed(place, items);
    }
}

/// What a reference stands for, or the value itself.
fn resolved(value: &Value) -> &Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let pointer = reference.strip_prefix('#').expect("references stay in the document");
    DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("expected an object: {value}"))
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}
