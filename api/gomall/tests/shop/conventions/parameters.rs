//! Queries and headers that are not what they should be.

use super::Scene;
use super::contract::Operation;
use crate::support::Answer;
use reqwest::Method;

/// Texts that a parameter does not take, by its name; one that takes any text is not here. They do not follow from
/// the document: it says what is taken, and these are what a parser may let pass all the same, such as a sign before
/// a number, a cursor of another list, or a text that is nearly a name.
const BAD: [(&str, &[&str]); 9] = [
    ("limit", &["0", "-1", "1.5", "x", "", "99999999999999999999", "%2B1"]),
    ("cursor", &["nonsense", "", "e30", "bnVsbA", "WyJcdTAwMDAiXQ", "%2F", "a.b", "users.x"]),
    ("sort", &["weight", "NAME", "name,price"]),
    ("category", &["a%20b", "%C3%BC", "..%2F"]),
    ("currency", &["usd", "XXX", "DOLLAR"]),
    ("status", &["gone", "Draft"]),
    ("after", &["-1", "x", "", "1.5"]),
    ("until", &["-1", "x", "", "1.5"]),
    ("types", &["Nothing", "OrderPlaced,", "", "orderplaced"]),
];

/// Unknown, repeated, badly encoded and out of range.
pub(crate) async fn every_query_is_checked(scene: &Scene) {
    let mut lists = 0;
    for operation in reads(scene) {
        let refused = async |query: &str, parameter: &str| {
            let path = format!("{}?{query}", operation.sample_path(scene.customer.id()));
            assert_names(&scene.admin.get(&path).await, parameter, &path);
        };
        refused("nonsense=1", "nonsense").await;
        refused("%6Eonsense", "nonsense").await;
        refused("%zz=1", "%zz").await;
        for (name, values) in BAD {
            if operation.parameter("query", name).is_none() {
                refused(&format!("{name}=1"), name).await;
                continue;
            }
            for value in values {
                refused(&format!("{name}={value}"), name).await;
            }
            for encoded in ["%zz", "%", "%ff", "a%00b"] {
                refused(&format!("{name}={encoded}"), name).await;
            }
            refused(&format!("{name}=1&{name}=1"), name).await;
        }
        if operation.parameter("query", "q").is_some() {
            refused(&format!("q={}", "a".repeat(201)), "q").await;
        }
        if let Some(most) = operation.maximum("limit") {
            lists += 1;
            refused(&format!("limit={}", most + 1), "limit").await;
            let path = operation.sample_path(scene.customer.id());
            let path = format!("{path}?limit={most}");
            assert_eq!(scene.admin.get(&path).await.status, 200, "{path}");
        }
    }
    assert!(lists > 5, "the lists have moved");
    let many = (0..33).map(|number| format!("a{number}=")).collect::<Vec<_>>().join("&");
    let path = format!("/api/v1/products?{many}");
    assert_names(&scene.visitor.get(&path).await, "", &path);
    let long = format!("/api/v1/products?q={}", "a".repeat(8 * 1024));
    scene.visitor.get(&long).await.refused(414, "uri_too_long");
    let required = scene.visitor.get("/api/v1/search/suggest").await;
    assert_names(&required, "q", "suggest");
}

/// Positions, policy versions, keys.
pub(crate) async fn headers_are_checked(scene: &Scene) {
    let numbers = ["x", "-1", "+1", "1.5", "", "9223372036854775808", "1, 2"];
    for operation in reads(scene) {
        let path = operation.sample_url(scene.customer.id());
        for garbage in numbers {
            let headers = [("gomall-position", garbage)];
            let answer = scene.admin.send(Method::GET, &path, &headers, None).await;
            assert_names(&answer, "gomall-position", &format!("{path} {garbage:?}"));
        }
        let twice = [("gomall-position", "1"), ("gomall-position", "1")];
        let answer = scene.admin.send(Method::GET, &path, &twice, None).await;
        assert_names(&answer, "gomall-position", &path);
    }
    for garbage in numbers {
        let headers = [("policy-version", garbage)];
        let answer = scene.visitor.send(Method::GET, "/api/v1/products", &headers, None).await;
        assert_names(&answer, "policy-version", garbage);
    }

    let too_long = "k".repeat(256);
    for operation in scene.contract.operations() {
        if operation.parameter("header", "Idempotency-Key").is_none() {
            continue;
        }
        let path = operation.sample_path(scene.customer.id());
        for key in ["", " ", "a b", "a\tb", "kéy", too_long.as_str()] {
            let headers = [("idempotency-key", key), ("if-match", "*")];
            let body = serde_json::json!({});
            let answer = scene.admin.send(operation.method(), &path, &headers, Some(&body)).await;
            assert_eq!(answer.body["code"], "idempotency_key_invalid", "{path}: {}", answer.text);
            assert_eq!(answer.status, 400, "{path} {key:?}");
        }
        let twice = [("idempotency-key", "k"), ("idempotency-key", "k"), ("if-match", "*")];
        let answer = scene.admin.send(operation.method(), &path, &twice, None).await;
        answer.refused(400, "idempotency_key_invalid");
    }
}

/// The shop's own reads.
pub(crate) fn reads(scene: &Scene) -> Vec<Operation<'_>> {
    let operations = scene.contract.operations().into_iter();
    operations.filter(|operation| !operation.is_unsafe() && operation.is_of_the_shop()).collect()
}

#[track_caller]
fn assert_names(answer: &Answer, parameter: &str, about: &str) {
    let error = &answer.body["errors"][0];
    assert_eq!(
        (answer.status.as_u16(), answer.body["code"].as_str(), error["parameter"].as_str()),
        (422, Some("invalid_parameter"), Some(parameter)),
        "{about}: {}",
        answer.text
    );
    assert!(error["message"].is_string(), "{about}");
}
