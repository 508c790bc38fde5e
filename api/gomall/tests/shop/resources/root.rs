//! What lies at the root: probes, metrics and the documentation of the API.

use crate::conventions::Scene;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn who_opens_the_address_is_told_what_it_is_and_where_to_go_on() {
    let scene = Scene::shared().await;
    let visitor = &scene.visitor;
    let page = visitor.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let json = [("accept", "application/json")];
    let told = visitor.send(Method::GET, "/", &json, None).await;
    let told = told.expect(StatusCode::OK);
    assert_eq!(told["name"], "GoMall");
    for link in told["links"].as_object().expect("links").values() {
        let path = link.as_str().expect("a path");
        assert!(page.text.contains(path), "{path} is on the page");
        assert_eq!(visitor.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn whoever_watches_a_shop_sees_that_it_lives_and_what_it_counts() {
    let scene = Scene::shared().await;
    let visitor = &scene.visitor;
    let alive = visitor.get("/healthz").await;
    assert_eq!((alive.status, alive.text.as_str()), (StatusCode::OK, "alive\n"));
    let ready = visitor.get("/readyz").await;
    let ready = ready.expect(StatusCode::OK);
    // Something may be slow for a moment on a busy machine; then it is named.
    let degraded = ready["degraded"].as_array().expect("a list of words");
    let status = if degraded.is_empty() { "ok" } else { "degraded" };
    assert_eq!(ready["status"], status, "{ready}");
    let metrics = visitor.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert!(metrics.text.lines().any(|line| line.starts_with("gomall_journal_batches_total ")));
    // Only programs of this machine that ask for themselves.
    let forwarded = [("x-forwarded-for", "198.51.100.7")];
    let through_a_proxy = visitor.send(Method::GET, "/metrics", &forwarded, None).await;
    through_a_proxy.refused(404, "not_found");
}

#[tokio::test]
async fn the_document_and_its_page_are_there_for_everybody() {
    let scene = Scene::shared().await;
    let visitor = &scene.visitor;
    let document = visitor.get("/openapi.json").await;
    let served = document.expect(StatusCode::OK);
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert!(served["paths"]["/api/v1/products"]["get"].is_object(), "it describes this shop");
    let tag = document.header("etag").expect("it has a tag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let same = visitor.send(Method::GET, "/openapi.json", &known, None).await;
    assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let page = visitor.get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy").expect("it says what it may do");
    assert!(policy.contains("img-src 'self' data:"), "{policy}");
    let script = "/docs/swagger-ui-bundle.js";
    assert!(page.text.contains(script));
    assert_eq!(visitor.get(script).await.status, StatusCode::OK);
    assert_eq!(
        visitor.get("/docs/nothing.js").await.refused(404, "not_found")["status"],
        json!(404)
    );
}
