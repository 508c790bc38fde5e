//! What explains a decision without making it.

use crate::conventions::Scene;
use crate::resources::{OutOfRange, Resource, out_of_range};
use crate::support::{Person, key, new_id};
use reqwest::StatusCode;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/admin/permission-rules/explain";
const EXPLAIN: &str = "POST /api/v1/admin/permission-rules/explain";

pub(super) const RESOURCE: Resource = Resource {
    ranges,
    either: &[(EXPLAIN, "user_id", ("roles", r#"["staff"]"#))],
    ..Resource::NONE
};

fn ranges() -> Vec<OutOfRange> {
    let paths = ["//admin", "/%61dmin", "/admin/", "admin"];
    vec![
        out_of_range(EXPLAIN, "/method", ["get"], "invalid_field"),
        out_of_range(EXPLAIN, "/path", paths, "invalid_field"),
    ]
}

/// The answer to a question.
pub(super) async fn explain(admin: &Person, question: Value) -> Value {
    let answer = admin.post(PATH, &question).await;
    answer.expect(StatusCode::OK).clone()
}

#[tokio::test]
async fn a_decision_is_explained_by_who_asks_and_by_which_rule() {
    let scene = Scene::shared().await;
    let admin = &scene.admin;
    let of_roles =
        |roles: Value| json!({"roles": roles, "method": "GET", "path": "/api/v1/orders"});
    let anonymous = explain(admin, of_roles(json!(["anonymous"]))).await;
    assert_eq!(
        (&anonymous["decision"], &anonymous["reason"]),
        (&json!("deny"), &json!("nothing_allows"))
    );
    assert_eq!(explain(admin, of_roles(json!([]))).await["reason"], "allow_rule");
    let catalogue = json!({"roles": [], "method": "HEAD", "path": "/api/v1/products"});
    let catalogue = explain(admin, catalogue).await;
    assert_eq!(
        (&catalogue["decision"], &catalogue["reason"]),
        (&json!("allow"), &json!("public_path"))
    );
    assert!(catalogue["public_path_id"].is_string());

    // Of a user what they were granted counts, unless they are banned.
    let customer = scene.somebody().await;
    let path = format!("/explained/{}", key());
    let question = json!({"user_id": customer.id(), "method": "GET", "path": path});
    assert_eq!(explain(admin, question.clone()).await["reason"], "nothing_allows");
    let role = format!("reader-{}", new_id().simple());
    let rule = json!({"effect": "allow", "roles": [role], "methods": ["GET"], "path": path});
    let rule = admin.post("/api/v1/admin/permission-rules", &rule).await;
    let user = format!("/api/v1/admin/users/{}", customer.id());
    admin.post(&format!("{user}/roles"), &json!({"role": role})).await.expect(StatusCode::OK);
    let allowed = explain(admin, question.clone()).await;
    assert_eq!((&allowed["decision"], &allowed["rule_id"]), (&json!("allow"), &rule.body["id"]));
    let considered = allowed["considered"].as_array().expect("a list");
    assert!(considered.iter().any(|one| one["matches"] == true), "{allowed}");
    admin.post(&format!("{user}/ban"), &json!({"reason": "x"})).await.expect(StatusCode::OK);
    let banned = explain(admin, question).await;
    assert_eq!((&banned["decision"], &banned["reason"]), (&json!("deny"), &json!("banned")));

    for (body, code, pointer) in [
        (json!({"method": "GET", "path": "/"}), "missing_field", "/user_id"),
        (json!({"roles": [], "method": "FETCH", "path": "/"}), "invalid_field", "/method"),
        (json!({"roles": [], "method": "GET", "path": "//"}), "invalid_field", "/path"),
    ] {
        let refused = admin.post(PATH, &body).await;
        assert_eq!(refused.refused(422, code)["errors"][0]["pointer"], pointer);
    }
    let nobody =
        json!({"user_id": "01890a5d-ac96-774b-bcce-b302099a8057", "method": "GET", "path": "/"});
    admin.post(PATH, &nobody).await.refused(404, "not_found");
    customer.post(PATH, &of_roles(json!([]))).await.refused(403, "banned");
    scene.customer.post(PATH, &of_roles(json!([]))).await.refused(403, "forbidden");
}
