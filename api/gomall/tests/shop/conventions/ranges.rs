//! Members that are out of range in a way that the document cannot say: a table. What it can say is tried
//! by [`super::bounds`].

use super::Scene;
use super::bodies::complaint;
use super::samples;
use crate::support::key;
use serde_json::{Value, json};

/// Operation, member, what is put there, and the code that answers it. The status is 422; a code
/// of the conventions names the member, a code of the domain need not.
fn table() -> Vec<(&'static str, &'static str, Vec<Value>, &'static str)> {
    const REGISTER: &str = "POST /api/v1/auth/register";
    const ADD_LINE: &str = "POST /api/v1/me/cart/lines";
    const CHANGE_LINE: &str = "PUT /api/v1/me/cart/lines/{sku}";
    const CREATE: &str = "POST /api/v1/admin/products";
    const BAN: &str = "POST /api/v1/admin/bans";
    const BAN_USER: &str = "POST /api/v1/admin/users/{id}/ban";
    const ADD_RULE: &str = "POST /api/v1/admin/permission-rules";
    const CHANGE_RULE: &str = "PUT /api/v1/admin/permission-rules/{id}";
    const EXPLAIN: &str = "POST /api/v1/admin/permission-rules/explain";
    const OPEN: &str = "POST /api/v1/admin/public-paths";
    const INVALID: &str = "invalid_field";

    let texts = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let numbers = |numbers: &[u32]| numbers.iter().map(|number| json!(number)).collect();
    let local = format!("{}@example.com", "a".repeat(65));
    let emails = ["a@", "@example.com", "a b@example.com", "a@.com", &local];
    let long = "a".repeat(129);
    let times = ["2999-02-30T00:00:00Z", "2999-01-01", "2020-01-01T00:00:00Z"];
    let patterns = ["(", "a{99999}", "a)|(?:b"];
    let twice = samples::body(CREATE)["variants"][0].clone();
    vec![
        (REGISTER, "/email", texts(&emails), INVALID),
        (REGISTER, "/password", texts(&["", "1234567", "password", &long]), "weak_password"),
        (ADD_LINE, "/quantity", numbers(&[0, 1000, u32::MAX]), "quantity_out_of_range"),
        (CHANGE_LINE, "/quantity", numbers(&[1000]), "quantity_out_of_range"),
        (CREATE, "/categories", vec![json!(["a", "a"])], "duplicate_category"),
        (CREATE, "/variants", vec![json!([twice, twice])], "duplicate_sku"),
        ("POST /api/v1/admin/stock/{sku}/adjust", "/quantity", vec![json!(0)], INVALID),
        (
            "POST /api/v1/admin/users/{id}/roles",
            "/role",
            texts(&["anonymous", "authenticated"]),
            "role_reserved",
        ),
        (BAN_USER, "/until", texts(&times), INVALID),
        (BAN, "/until", texts(&times), INVALID),
        (BAN, "/cidr", texts(&["", "here", "203.0.113.0/33", "300.0.0.1"]), INVALID),
        (BAN, "/cidr", texts(&["0.0.0.0/0", "::/0"]), "network_too_wide"),
        // Whether there is the rule that is to be changed is asked first.
        (ADD_RULE, "/path", texts(&patterns), "bad_pattern"),
        (OPEN, "/path", texts(&patterns), "bad_pattern"),
        // What may be asked for by GET may be by HEAD, which no rule names.
        (OPEN, "/methods/0", texts(&["HEAD"]), INVALID),
        (ADD_RULE, "/note", texts(&["a\nb"]), INVALID),
        (CHANGE_RULE, "/note", texts(&["a\nb"]), INVALID),
        (EXPLAIN, "/method", texts(&["get"]), INVALID),
        (EXPLAIN, "/path", texts(&["//admin", "/%61dmin", "/admin/", "admin"]), INVALID),
    ]
}

/// The table, row by row.
pub(crate) async fn every_member_out_of_range_is_named(scene: &Scene) {
    let conventional = ["invalid_field", "weak_password"];
    let mut complaints = vec![];
    for (operation, pointer, values, code) in table() {
        for value in values {
            let mut body = samples::body(operation);
            *body.pointer_mut(pointer).expect("samples hold every member") = value.clone();
            let answer = send(scene, operation, &body).await;
            let place = conventional.contains(&code).then_some(pointer);
            let complaint = complaint(&answer, 422, code, place);
            complaints
                .extend(complaint.map(|text| format!("{operation} {pointer}: {value}: {text}")));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");

    // Members that exclude each other, and of which one is needed.
    for (operation, one, other) in [
        ("POST /api/v1/admin/bans", "user_id", ("cidr", json!("203.0.113.7"))),
        ("POST /api/v1/admin/permission-rules/explain", "user_id", ("roles", json!(["staff"]))),
    ] {
        let mut body = samples::body(operation);
        body[other.0] = other.1;
        body[one] = json!(scene.customer.id());
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{}", other.0);
        assert_eq!(complaint(&answer, 422, "invalid_field", Some(&pointer)), None, "{operation}");
        let members = body.as_object_mut().expect("an object");
        members.retain(|name, _| name != one && name != other.0);
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{one}");
        assert_eq!(complaint(&answer, 422, "missing_field", Some(&pointer)), None, "{operation}");
    }

    let unsold = json!({"sku": "nobody-sells-this", "quantity": 1});
    scene.customer.post("/api/v1/me/cart/lines", &unsold).await.refused(404, "unknown_sku");
}

async fn send(scene: &Scene, operation: &str, body: &Value) -> crate::support::Answer {
    let described = scene.contract.operation(operation);
    let (path, key) = (described.sample_path(scene.customer.id()), key());
    let headers = [("idempotency-key", key.as_str()), ("if-match", "*")];
    scene.admin.send(described.method(), &path, &headers, Some(body)).await
}
