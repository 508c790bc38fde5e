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
        progress: Box::new(|| Progress {
            journal: Some(domain::Position::new(41)),
            read_models: vec![
                ("catalogue", domain::Position::new(41)),
                ("orders", domain::Position::new(7)),
            ],
        }),
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

#[tokio::test]
async fn who_opens_the_address_sees_what_this_is_that_it_runs_and_where_to_go_on() {
    let root = root(ShowsMetrics::OnLoopback);
    root.readiness.ready();
    let open = async |accept: Option<&str>| {
        let request = accept
            .into_iter()
            .fold(Request::get("/"), |request, accept| request.header("accept", accept));
        let request = request.body(Body::empty()).expect("a request");
        let response = router(Arc::clone(&root)).oneshot(request).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        let bytes = to_bytes(body, 1 << 20).await.expect("a body in memory");
        assert_eq!(parts.status.as_u16(), 200);
        let kind = parts.headers["content-type"].to_str().expect("text").to_owned();
        (kind, String::from_utf8_lossy(&bytes).into_owned())
    };
    let browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for accept in [Some(browsers), Some("*/*"), Some("application/json;q=0.5, text/*"), None] {
        let (kind, page) = open(accept).await;
        assert_eq!(kind, "text/html; charset=utf-8", "{accept:?}");
        for part in
            ["not everything: nats", "position 41", "orders</td><td>7", "34 behind", "up to date"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        let links: Vec<&str> =
            page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(links.len(), 4, "{links:?}");
        for link in links {
            assert_eq!(get(&root, link).await.0, 200, "{link}");
        }
    }
    for accept in
        ["application/json", "application/json, text/html;q=0.9", "application/*, */*;q=0.1"]
    {
        let (kind, body) = open(Some(accept)).await;
        assert_eq!(kind, "application/json; charset=utf-8", "{accept}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (
                &body["status"],
                &body["degraded"],
                &body["journal_position"],
                &body["read_models"][1]
            ),
            (
                &json!("degraded"),
                &json!(["nats"]),
                &json!(41),
                &json!({"name": "orders", "position": 7, "lag": 34})
            )
        );
    }
}
