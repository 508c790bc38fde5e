//! Paths that need no permission.

use crate::support::Shop;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn id(body: &Value) -> &str {
    body["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_path_is_made_public_and_taken_back() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    let paths = "/api/v1/admin/public-paths";
    visitor.get("/api/v1/admin/projections").await.refused(401, "unauthenticated");
    let public = json!({"methods": ["GET"], "path": "/api/v1/admin/projections"});
    let added = admin.post(paths, &public).await;
    let path = format!("{paths}/{}", id(added.expect(StatusCode::CREATED)));
    assert!(added.header("policy-version").is_some());
    visitor.get("/api/v1/admin/projections").await.expect(StatusCode::OK);
    let shown = admin.get_after(&path, added.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &added.body);
    let listed = admin.get(&format!("{paths}?limit=100")).await;
    assert!(
        listed.expect(StatusCode::OK)["items"].as_array().expect("a list").contains(&added.body)
    );
    admin.delete(&path).await.expect(StatusCode::NO_CONTENT);
    visitor.get("/api/v1/admin/projections").await.refused(401, "unauthenticated");
    let bad = json!({"methods": ["GET"], "path": "("});
    admin.post(paths, &bad).await.refused(422, "bad_pattern");
}
