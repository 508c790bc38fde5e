//! The pictures of the sample catalogue.

use crate::conventions::Scene;
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn whatever_picture_a_product_names_is_there_and_kept_by_browsers() {
    let scene = Scene::shared().await;
    let notebook = scene.visitor.get("/api/v1/products/1").await;
    let picture =
        notebook.expect(StatusCode::OK)["picture"].as_str().expect("it has one").to_owned();
    let shown = scene.visitor.get(&picture).await;
    assert_eq!((shown.status, shown.header("content-type")), (StatusCode::OK, Some("image/jpeg")));
    assert_eq!(shown.header("cache-control"), Some("public, max-age=86400"));
    let tag = shown.header("etag").expect("it has a tag");
    let same = scene.visitor.send(Method::GET, &picture, &[("if-none-match", tag)], None).await;
    assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let nothing = scene.visitor.get("/static/image/nothing.jpeg").await;
    nothing.refused(404, "not_found");
    scene.visitor.get("/static/image/..%2fnotebook.jpeg").await.refused(400, "malformed_path");
}
