use super::*;
use crate::guard::Peer;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

fn root(shows_metrics: ShowsMetrics) -> Arc<Root> {
    Arc::new(Root {
        readiness: Arc::default(),
        degraded: Box::new(|| vec!["nats"]),
        metrics: Arc::new(Metrics::new().expect("the names are right")),
        shows_metrics,
    })
}

async fn get(root: &Arc<Root>, path: &str) -> (u16, HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router(Arc::clone(root)).oneshot(request).await;
    let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let bytes = to_bytes(body, 1 << 24).await.expect("a body in memory");
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn readyz_follows_the_process_and_healthz_does_not() {
    let root = root(ShowsMetrics::OnLoopback);
    let ready = async || {
        let (status, _, body) = get(&root, "/readyz").await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(get(&root, "/healthz").await.0, 200);
        (status, body)
    };
    let (status, body) = ready().await;
    assert_eq!((status, &body["code"]), (503, &json!("starting")));
    root.readiness.ready();
    assert_eq!(ready().await, (200, json!({"status": "degraded", "degraded": ["nats"]})));
    root.readiness.draining();
    let (status, body) = ready().await;
    assert_eq!((status, &body["code"]), (503, &json!("draining")));
}

#[tokio::test]
async fn metrics_are_shown_only_where_the_operator_said() {
    let (status, headers, text) = get(&root(ShowsMetrics::ToEverybody), "/metrics").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &Metrics::CONTENT_TYPE.parse().expect("a header"))
    );
    assert!(text.contains("gomall_events_total"));
    let elsewhere = root(ShowsMetrics::OnLoopback);
    let ask = async |peer: &str, header: Option<&str>| {
        let mut request = Request::get("/metrics");
        request =
            header.iter().fold(request, |request, name| request.header(*name, "for=192.0.2.1"));
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer(peer.parse().expect("an address")));
        router(Arc::clone(&elsewhere)).oneshot(request).await.map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask("127.0.0.1:1", None).await, Ok(200));
    assert_eq!(ask("[::1]:1", None).await, Ok(200));
    assert_eq!(ask("192.0.2.1:1", None).await, Ok(404));
    for forwarded in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
        assert_eq!(ask("127.0.0.1:1", Some(forwarded)).await, Ok(404), "a proxy on this machine");
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_served_with_everything_that_the_page_needs() {
    let root = root(ShowsMetrics::OnLoopback);
    let (status, headers, document) = get(&root, "/openapi.json").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"application/json; charset=utf-8".parse().expect("a header"))
    );
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert!(document["paths"]["/readyz"]["get"].is_object());

    let (status, headers, page) = get(&root, "/docs").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().expect("a header"))
    );
    let named = page.split('"').filter(|text| text.starts_with('/')).collect::<Vec<_>>();
    assert!(named.len() >= 5, "{named:?}");
    for file in named {
        assert_eq!(get(&root, file).await.0, 200, "{file}");
    }
    let (_, _, initializer) = get(&root, "/docs/swagger-initializer.js").await;
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    assert_eq!(get(&root, "/docs/nothing.js").await.0, 404);
}
