//! Bodies that are taken: the examples of the document. Whatever is optional is in one of them, so
//! that the tests see every member.

use serde_json::Value;
use std::sync::LazyLock;

/// Bodies by operation (`METHOD /path`); one whose members exclude each other has several.
static BODIES: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let document = api::openapi::document().to_json().expect("plain data");
    let document: Value = serde_json::from_str(&document).expect("it is JSON");
    let mut bodies = vec![];
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations by method") {
            let media = &operation["requestBody"]["content"]["application/json"];
            let several = media["examples"].as_object().into_iter().flat_map(|all| all.values());
            let several = several.map(|example| &example["value"]);
            for example in several.chain(media.get("example")) {
                bodies.push((format!("{} {path}", method.to_uppercase()), example.clone()));
            }
        }
    }
    bodies
});

/// All of them.
pub(crate) fn bodies() -> impl Iterator<Item = &'static (String, Value)> {
    BODIES.iter()
}

/// The body of an operation that has one.
pub(crate) fn body(operation: &str) -> Value {
    let found = bodies().find(|(name, _)| name == operation);
    found.unwrap_or_else(|| panic!("an example for {operation}?")).1.clone()
}
