//! Keys that programs act for their owner with.

use super::Resource;
use crate::conventions::{Keyed, Scene};
use crate::support::{PASSWORD, key, new_id};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const KEYS: &str = "/api/v1/me/api-keys";

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let body = |name: &str| json!({"name": name, "scopes": ["customer"]});
    let issue = Keyed::of(&scene.somebody().await, "POST /api/v1/me/api-keys", &[]);
    let mut calls = vec![issue.with(body("reports")).unlike(body("others"))];
    for name in ["POST /api/v1/me/api-keys/{id}/rotate", "DELETE /api/v1/me/api-keys/{id}"] {
        let person = scene.somebody().await;
        let issued = person.post_keyed(KEYS, &key(), &body("reports")).await;
        calls.push(Keyed::of(&person, name, &[issued.id()]));
    }
    calls
}

#[tokio::test]
async fn a_program_acts_with_its_key_as_far_as_its_scopes_and_its_owner_go() {
    let scene = Scene::shared().await;
    let (admin, person) = (&scene.admin, scene.somebody().await);
    let roles = format!("/api/v1/admin/users/{}/roles", person.id());
    // One that nobody else has, so that nobody else is denied anything.
    let denied_role = format!("staff-{}", new_id().simple());
    let known = json!({"effect": "allow", "roles": [denied_role], "methods": ["GET"],
                       "path": "/api/v1/events", "note": ""});
    let known = admin.post("/api/v1/admin/permission-rules", &known).await;
    known.expect(StatusCode::CREATED);
    for role in ["analyst", "staff", &denied_role] {
        admin.post(&roles, &json!({"role": role})).await.expect(StatusCode::OK);
    }
    let body = |scope: &str| json!({"name": "Nightly reports", "scopes": [scope]});
    person.post_keyed(KEYS, &key(), &body("admin")).await.refused(422, "scope_not_held");
    let late = json!({"name": "x", "scopes": ["analyst"], "expires_at": "2999-01-01T00:00:00Z"});
    person.post_keyed(KEYS, &key(), &late).await.refused(422, "invalid_field");
    let issued = person.post_keyed(KEYS, &key(), &body("analyst")).await;
    let (id, secret) =
        (issued.expect(StatusCode::CREATED)["id"].clone(), issued.body["key"].clone());
    let program = person.with_token(secret.as_str());
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    let lines = [("accept", "application/x-ndjson")];
    let exported = program.send(Method::GET, "/api/v1/events", &lines, None).await;
    exported.expect(StatusCode::OK);
    // It is no person, and has none of its owner's other roles.
    program.get(KEYS).await.refused(403, "forbidden");
    program
        .put("/api/v1/me/password", &json!({"current": "x", "new": "y"}))
        .await
        .refused(403, "forbidden");
    person.get("/api/v1/admin/products").await.expect(StatusCode::OK);
    program.get("/api/v1/admin/products").await.refused(403, "forbidden");
    for bad in ["gmk_", "gmk_nonsense", &format!("{}A", secret.as_str().expect("a key"))] {
        let answer = person.with_token(Some(bad)).get("/api/v1/events").await;
        answer.refused(401, "unauthenticated");
    }
    let listed = person.get(KEYS).await;
    let shown = &listed.expect(StatusCode::OK)["items"][0];
    assert_eq!((&shown["id"], &shown["name"]), (&id, &json!("Nightly reports")));
    assert_eq!(shown["key"], Value::Null);
    let of_person = format!("/api/v1/events?aggregate=user&aggregate_id={}", person.id());
    let events = admin.get(&of_person).await;
    assert!(events.items().len() > 1 && !events.text.contains("Nightly"), "{}", events.text);

    let path = format!("{KEYS}/{}", id.as_str().expect("an id"));
    let rotated = person.post_keyed(&format!("{path}/rotate"), &key(), &json!({})).await;
    let newer = rotated.expect(StatusCode::OK)["key"].clone();
    assert!(newer.is_string() && newer != secret);
    for token in [&secret, &newer] {
        let program = person.with_token(token.as_str());
        program.get("/api/v1/events").await.expect(StatusCode::OK);
    }
    // What its owner may not do it may not either, whatever its scopes.
    let deny = json!({"effect": "deny", "roles": [denied_role], "methods": ["GET"],
                      "path": "/api/v1/events", "note": ""});
    let denied = admin.post("/api/v1/admin/permission-rules", &deny).await;
    let rule = denied.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    program.get("/api/v1/events").await.refused(403, "forbidden");
    let rule = format!("/api/v1/admin/permission-rules/{rule}");
    admin.delete(&rule).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    person.delete(&path).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.refused(401, "unauthenticated");
    person.delete(&path).await.refused(404, "not_found");

    // Whoever was thrown out of an account leaves no key behind.
    let again = person.post_keyed(KEYS, &key(), &body("analyst")).await;
    let program = person.with_token(again.expect(StatusCode::CREATED)["key"].as_str());
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    let change = json!({"current": PASSWORD, "new": "another quite long password"});
    person.put("/api/v1/me/password", &change).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.refused(401, "unauthenticated");
}
