//! Paths that need no permission.

use crate::conventions::{Keyed, Scene, samples};
use crate::resources::{OutOfRange, Resource, Thing, out_of_range};
use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::json;

const PATHS: &str = "/api/v1/admin/public-paths";
const ADD: &str = "POST /api/v1/admin/public-paths";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    ranges,
    of_the_domain: &[(ADD, "/path", 422, "bad_pattern")],
    things: |scene| things(scene).boxed_local(),
    ..Resource::NONE
};

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (admin, body) = (&scene.admin, samples::body(ADD));
    let mut other = body.clone();
    other["path"] = json!("/another");
    let added = admin.post(PATHS, &body).await;
    vec![
        Keyed::of(admin, ADD, &[]).with(body).unlike(other),
        Keyed::of(admin, "DELETE /api/v1/admin/public-paths/{id}", &[added.id()]),
    ]
}

fn ranges() -> Vec<OutOfRange> {
    vec![
        out_of_range(ADD, "/path", ["(", "a{99999}", "a)|(?:b"], "bad_pattern"),
        // What may be asked for by GET may be by HEAD, which no rule names.
        out_of_range(ADD, "/methods/0", ["HEAD"], "invalid_field"),
    ]
}

async fn things(scene: &Scene) -> Vec<Thing> {
    let added = scene.admin.post(PATHS, &samples::body(ADD)).await;
    let id = added.id().to_owned();
    vec![Thing::new(&scene.admin, "/api/v1/admin/public-paths/{id}", &id, added)]
}

#[tokio::test]
async fn a_path_is_made_public_and_taken_back() {
    // No other story asks for this one without a permission.
    const OPENED: &str = "/api/v1/admin/second-factor-roles";
    let scene = Scene::shared().await;
    let (admin, visitor) = (&scene.admin, &scene.visitor);
    visitor.get(OPENED).await.refused(401, "unauthenticated");
    let public = json!({"methods": ["GET"], "path": OPENED});
    let added = admin.post(PATHS, &public).await;
    added.expect(StatusCode::CREATED);
    let path = format!("{PATHS}/{}", added.id());
    assert_eq!(added.header("location"), Some(&*path));
    assert!(added.header("policy-version").is_some());
    visitor.get(OPENED).await.expect(StatusCode::OK);
    let shown = admin.get_once_at(&path, added.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &added.body);
    let listed = admin.get(&format!("{PATHS}?limit=100")).await;
    assert!(listed.items().contains(&added.body), "{}", listed.text);
    admin.delete(&path).await.expect(StatusCode::NO_CONTENT);
    admin.delete(&path).await.refused(404, "not_found");
    visitor.get(OPENED).await.refused(401, "unauthenticated");
    let bad = json!({"methods": ["GET"], "path": "("});
    admin.post(PATHS, &bad).await.refused(422, "bad_pattern");
}
