//! The OpenAPI document: what the routes say about themselves, completed by what holds for all.
//!
//! A route describes only what is its own: its path and how it succeeds. What it takes its arguments
//! say (`takes`), what that and the answers look like the types say (`schema`). What any request can
//! hear (`answers`), the sign-in, who needs it, and examples are added here, so that they can be
//! neither forgotten nor contradict the conventions.

mod answers;
mod example;
mod problem;
pub(crate) mod schema;
pub(crate) mod takes;

use crate::routes;
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

    /// Every operation: its method in capitals and its path.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (String, &str)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let methods = METHODS.iter().filter(|method| item[**method].is_object());
            methods.map(move |method| (method.to_uppercase(), path.as_str()))
        })
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
    answers::add_components(components);
    for (name, schema) in schema::given::<problem::Problem>().named {
        components["schemas"][name] = schema;
    }
    let policy = default_policy();
    let components = document["components"].clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        let Some(item) = item.as_object_mut() else { continue };
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete_operation(operation, method, path, &policy);
                example::add(operation, &components);
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
    answers::complete(operation, path);
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

#[cfg(test)]
mod tests;
