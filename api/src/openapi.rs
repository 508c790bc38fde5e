//! The OpenAPI document: what the routes say about themselves, completed by what holds for all.
//!
//! A route describes only what is its own. The errors, the common headers, the sign-in and who
//! needs it are added here, so that they can be neither forgotten nor contradict the conventions.

use crate::http::PROBLEM_JSON;
use crate::routes;
use axum::http::StatusCode;
use domain::policy::{Caller, CompiledPolicy, canonical_path};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What stands for a parameter of a path when it is asked whether the path is public.
const SAMPLE_SEGMENT: &str = "x";

/// The operations that an OpenAPI path item may hold.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// The whole document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Value);

impl Document {
    /// The document for programs.
    ///
    /// # Errors
    /// Never for this document; the signature is the serializer's.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.0)
    }

    /// The document for people: indented.
    ///
    /// # Errors
    /// As [`Document::to_json`].
    pub fn to_pretty_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.0)
    }
}

/// The document of this build. Made once.
#[must_use]
pub fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> Document {
    let mut described = routes::all().into_openapi();
    described.merge(routes::root::routes().into_openapi());
    let mut document =
        serde_json::to_value(described).expect("a description of routes is plain data");
    complete(&mut document);
    Document(document)
}

fn complete(document: &mut Value) {
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "GoMall",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The back end of a shop. Money is in minor units, times are UTC, errors are \
                        application/problem+json with a stable `code`. Commands answer \
                        `Gomall-Position`; a read that sends it back sees what the command did. \
                        Every unsafe call may be retried under one `Idempotency-Key`.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    let components = &mut document["components"];
    components["securitySchemes"]["token"] =
        json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    components["responses"]["Problem"] = problem_response();
    components["parameters"] = parameters();
    if components["schemas"]["Problem"].is_null() {
        components["schemas"]["Problem"] = problem_schema();
    }
    let policy = default_policy();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        let Some(item) = item.as_object_mut() else { continue };
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete_operation(operation, method, path, &policy);
            }
        }
    }
}

fn complete_operation(
    operation: &mut Map<String, Value>,
    method: &str,
    path: &str,
    policy: &CompiledPolicy,
) {
    operation.insert("operationId".into(), json!(operation_id(method, path)));
    // A doc comment is broken into lines for whoever reads the source.
    if let Some(Value::String(summary)) = operation.get_mut("summary") {
        *summary = summary.replace('\n', " ");
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        let errors = responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5']));
        errors.for_each(|(_, response)| problem_content(response));
        responses.iter_mut().for_each(|(status, response)| describe(status, response));
        responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    if path.starts_with("/api/v1/") {
        let header = if method == "get" { "Gomall-Position" } else { "Idempotency-Key" };
        add_parameter(operation, header);
    }
    let token = json!({ "token": [] });
    let security =
        if is_public(policy, method, path) { json!([{}, token]) } else { json!([token]) };
    operation.insert("security".into(), security);
}

/// `post_me_cart_lines`: the handlers' own names (`show`, `list`) repeat themselves, and a client's
/// generated methods should not depend on how we call ours.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let words = path.split(|other: char| !other.is_ascii_alphanumeric());
    let words = std::iter::once(method).chain(words.filter(|word| !word.is_empty()));
    words.collect::<Vec<_>>().join("_")
}

/// Errors have one shape and a media type of their own, which routes need not repeat.
fn problem_content(response: &mut Value) {
    let described = response["content"]["application/json"].take();
    let any = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    let media = if described.is_object() { described } else { any };
    response["content"] = json!({ PROBLEM_JSON: media });
}

/// The standard demands a description of every answer; most routes have nothing to add to the
/// status.
fn describe(status: &str, response: &mut Value) {
    if response["description"].as_str().is_none_or(str::is_empty) {
        let reason = StatusCode::from_bytes(status.as_bytes()).ok();
        let reason = reason.and_then(|status| status.canonical_reason());
        response["description"] = json!(reason.unwrap_or("The answer"));
    }
}

/// Adds the reusable header, unless the route has described it (as required) itself.
fn add_parameter(operation: &mut Map<String, Value>, name: &str) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else { return };
    let is_there = parameters.iter().any(|parameter| {
        parameter["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    });
    if !is_there {
        parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
    }
}

/// Whether anybody may call it under the rules that a new shop starts with.
fn is_public(policy: &CompiledPolicy, method: &str, path: &str) -> bool {
    let sample = |segment: &'_ str| -> String {
        if segment.starts_with('{') { SAMPLE_SEGMENT } else { segment }.to_owned()
    };
    let sample = path.split('/').map(sample).collect::<Vec<_>>().join("/");
    let method = method.to_ascii_uppercase();
    canonical_path(&sample)
        .is_ok_and(|path| policy.decide(Caller::Anonymous, &method, path).is_allowed())
}

fn default_policy() -> CompiledPolicy {
    let policy = routes::default_policy::policy();
    CompiledPolicy::compile(&policy, 1).expect("the default rules compile; a test adds them all")
}

fn problem_response() -> Value {
    json!({
        "description": "Refused or failed; `code` says why.",
        "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

fn parameters() -> Value {
    json!({
        "Idempotency-Key": {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same for every retry of one request; kept for 30 days.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        },
        "Gomall-Position": {
            "name": "Gomall-Position", "in": "header", "required": false,
            "description": "The answer is at least as new as the command that answered with it.",
            "schema": { "type": "integer", "format": "int64", "minimum": 0 },
        },
    })
}

/// The shape of [`crate::http::Problem`], in case no route has described it.
fn problem_schema() -> Value {
    let text = json!({ "type": "string" });
    let error = json!({
        "type": "object",
        "required": ["code", "message"],
        "properties": { "pointer": text, "parameter": text, "code": text, "message": text },
    });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "trace_id"],
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "code": text,
            "detail": text, "trace_id": text, "errors": { "type": "array", "items": error },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every operation as `method /path`, with its description.
    fn operations() -> Vec<(String, &'static Value)> {
        let paths = document().0["paths"].as_object().expect("paths");
        let of_path = |(path, item): (&String, &'static Value)| {
            let methods = METHODS.iter().filter(|method| item[**method].is_object());
            let named = methods.map(|method| (format!("{method} {path}"), &item[*method]));
            named.collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    #[test]
    fn the_document_is_openapi_3_1_and_every_reference_leads_somewhere() {
        assert_eq!(document().0["openapi"], "3.1.0");
        let text = document().to_json().expect("plain data");
        let references = text.split("\"$ref\":\"#").skip(1);
        let references: BTreeSet<_> =
            references.filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.contains("/components/schemas/Problem"));
        let leads_nowhere = |reference: &&&str| document().0.pointer(reference).is_none();
        let nowhere: Vec<_> = references.iter().filter(leads_nowhere).collect();
        assert!(nowhere.is_empty(), "{nowhere:?} (a parameter's own schema must be `inline`)");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_errors_look_like() {
        let mut names = BTreeSet::new();
        for (operation, described) in operations() {
            let name = described["operationId"].as_str().expect("a name");
            assert!(names.insert(name), "{operation}: {name} is taken");
            let responses = described["responses"].as_object().expect("responses");
            assert!(responses.contains_key("default"), "{operation}");
            for (status, response) in responses {
                let is_error = status.starts_with(['4', '5']);
                let has_plain_body = response["content"]["application/json"].is_object();
                assert!(!(is_error && has_plain_body), "{operation} {status}");
            }
        }
    }

    #[test]
    fn every_operation_says_what_it_is_for() {
        for (operation, described) in operations() {
            assert!(described["summary"].is_string(), "{operation}");
        }
    }

    #[test]
    fn whoever_must_sign_in_is_told_so() {
        let security = |path: &str, method: &str| &document().0["paths"][path][method]["security"];
        let (public, members) = (json!([{}, { "token": [] }]), json!([{ "token": [] }]));
        assert_eq!(security("/healthz", "get"), &public);
        assert_eq!(security("/api/v1/products/{id}", "get"), &public);
        assert_eq!(security("/api/v1/me/cart", "get"), &members);
        assert_eq!(security("/api/v1/admin/products", "post"), &members);
    }

    #[test]
    fn common_headers_are_described_once_per_operation() {
        for (operation, described) in operations() {
            let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
            let mut names: Vec<String> = parameters.iter().map(|one| one.to_string()).collect();
            names.retain(|one| one.to_lowercase().contains("idempotency-key"));
            let unsafe_call = operation.contains(" /api/v1/") && !operation.starts_with("get ");
            assert_eq!(names.len(), usize::from(unsafe_call), "{operation}");
        }
    }
}
