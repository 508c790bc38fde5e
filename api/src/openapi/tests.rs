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
