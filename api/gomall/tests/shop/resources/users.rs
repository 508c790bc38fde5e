//! Who the caller is.

use super::{Resource, Thing};
use crate::conventions::Scene;
use crate::support::{PASSWORD, key};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

const ME: &str = "/api/v1/me";

pub(super) const RESOURCE: Resource =
    Resource { things: |scene| things(scene).boxed_local(), ..Resource::NONE };

async fn things(scene: &Scene) -> Vec<Thing> {
    let person = scene.somebody().await;
    let roles = format!("/api/v1/admin/users/{}/roles", person.id());
    let granted = scene.admin.post(&roles, &json!({"role": "analyst"})).await;
    vec![Thing::new(&person, ME, "", granted)]
}

#[tokio::test]
async fn one_sees_oneself_and_at_once_what_one_was_granted() {
    let scene = Scene::shared().await;
    let email = format!("{}@example.com", key());
    let account = json!({"email": email, "password": PASSWORD, "name": "Ada", "locale": "zh"});
    let registered = scene.visitor.post("/api/v1/auth/register", &account).await;
    let user = &registered.expect(StatusCode::CREATED)["user"];
    let person = scene.visitor.with_token(registered.body["access_token"].as_str());
    let me = person.get_once_at(ME, registered.position()).await;
    assert_eq!(me.expect(StatusCode::OK), user);
    assert_eq!(
        (&user["email"], &user["name"], &user["locale"]),
        (&json!(email), &json!("Ada"), &json!("zh"))
    );
    assert_eq!(user["roles"], json!(["customer"]));
    assert!(user["number"].as_u64() > Some(0) && !me.text.contains("password"), "{}", me.text);

    let tag = me.header("etag").expect("a single resource has one").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let same = person.send(Method::GET, ME, &known, None).await;
    assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let id = user["id"].as_str().expect("an id");
    let roles = format!("/api/v1/admin/users/{id}/roles");
    let granted = scene.admin.post(&roles, &json!({"role": "analyst"})).await;
    let position = granted.position().to_string();
    let after = [("if-none-match", tag.as_str()), ("gomall-position", position.as_str())];
    let now = person.send(Method::GET, ME, &after, None).await;
    assert_eq!(now.expect(StatusCode::OK)["roles"], json!(["analyst", "customer"]));
    let events = scene.events_of("user", id).await;
    let granted = events.iter().filter(|name| *name == "RoleGranted");
    assert_eq!((&*events[0], granted.count()), ("UserRegistered", 2), "{events:?}");
    scene.visitor.get(ME).await.refused(401, "unauthenticated");
}
