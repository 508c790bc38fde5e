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
    let references: BTreeSet<_> = references.filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.contains("/components/schemas/Problem"));
    assert!(
        references.contains("/components/headers/ETag"),
        "a name that is no header leads nowhere"
    );
    let leads_nowhere = |reference: &&&str| document().0.pointer(reference).is_none();
    let nowhere: Vec<_> = references.iter().filter(leads_nowhere).collect();
    assert!(nowhere.is_empty(), "{nowhere:?} (a parameter's own schema must be `inline`)");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (operation, described) in operations() {
        let name = described["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "{operation}: {name} is taken");
    }
}

#[test]
fn every_refusal_is_the_one_of_its_status_and_none_is_left_to_guess() {
    let statuses = |operation: &str| -> Vec<&String> {
        let found = operations().into_iter().find(|(name, _)| name == operation);
        let (_, described) = found.expect("it is described");
        described["responses"].as_object().expect("responses").keys().collect()
    };
    for (operation, described) in operations() {
        for (status, response) in described["responses"].as_object().expect("responses") {
            let number: u16 = status.parse().unwrap_or_else(|_| panic!("{operation}: {status}"));
            let reference = response["$ref"].as_str();
            let is_shared = reference.is_some_and(|to| to.starts_with("#/components/responses/"));
            assert_eq!(is_shared, number >= 400, "{operation} {status}");
        }
    }
    assert_eq!(statuses("get /healthz"), ["200", "414", "500", "503"]);
    let read = ["200", "304", "400", "401", "403", "404", "414", "422", "429", "500", "503"];
    assert_eq!(statuses("get /api/v1/orders/{id}"), read);
    let change = ["200", "400", "401", "403", "404", "408", "409", "412", "413", "414", "415"];
    let change = change.into_iter().chain(["422", "428", "429", "500", "503"]);
    assert_eq!(statuses("put /api/v1/admin/products/{id}"), change.collect::<Vec<_>>());
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
