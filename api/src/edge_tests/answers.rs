//! What every answer has, whoever gave it.

use super::harness::{Shop, new_uuid, request};
use crate::edge::{READ_TIMEOUT, REQUEST_TIMEOUT};
use crate::guard::TrustedProxies;
use crate::limits::{Limits, Rate, Rates};
use crate::telemetry::subscriber;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::instrument::WithSubscriber;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn limits_are_told_with_every_answer_and_kept() {
    let rates = Rates { address: Rate::hourly(2), ..Rates::default() };
    let shop = Shop::with(Some(Limits::new(rates)), TrustedProxies::default());
    shop.rules(&["+customer GET /who"]);
    let (_, token) = shop.sign_in(&["customer"]);
    let first = shop.get("/who", Some(&token)).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["ratelimit-policy"], "\"address\";q=2;w=7200, \"user\";q=200;w=2");
    assert_eq!(first.headers["ratelimit"], "\"address\";r=1;t=3600, \"user\";r=199;t=1");
    let refused = shop.get("/who", None).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["ratelimit"], "\"address\";r=0;t=7200");
    let limited = shop.get("/who", Some(&token)).await;
    assert_eq!((limited.status, limited.code()), (429, "rate_limited"));
    assert_eq!(limited.headers["retry-after"], "3600");
    assert_eq!(limited.headers["ratelimit-policy"], "\"address\";q=2;w=7200");
}

#[tokio::test]
async fn a_panic_is_a_500_that_names_the_trace_and_nothing_else() {
    let shop = Shop::new();
    shop.rules(&["public GET /panic"]);
    let mut request = request("GET", "/panic", None);
    request.headers_mut().insert("traceparent", PARENT.parse().expect("a header"));
    let answer = shop.send(request).await;
    assert_eq!((answer.status, answer.code()), (500, "internal"));
    assert_eq!(answer.body["trace_id"], PARENT[3..35]);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(!answer.body.to_string().contains("deliberately"));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_does_not_answer_is_cut_off() {
    let shop = Shop::new();
    shop.rules(&["public * /slow"]);
    for (method, patience) in [("GET", READ_TIMEOUT), ("POST", REQUEST_TIMEOUT)] {
        let began = tokio::time::Instant::now();
        let answer = shop.send(request(method, "/slow", None)).await;
        assert_eq!((answer.status, answer.code()), (503, "timed_out"));
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(began.elapsed().as_secs(), patience.as_secs(), "{method}");
    }
}

#[tokio::test]
async fn an_extractor_of_the_framework_does_not_leak_its_own_format() {
    let shop = Shop::new();
    shop.rules(&["public GET /foreign"]);
    let answer = shop.get("/foreign?x=y", None).await;
    assert_eq!((answer.status, answer.code()), (400, "bad_request"));
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_key_is_the_same_for_a_retry_and_another_for_another_principal() {
    let shop = Shop::new();
    shop.rules(&["public POST /things"]);
    let (_, one) = shop.sign_in(&[]);
    let (_, two) = shop.sign_in(&[]);
    let post = async |token: &str, key: &str| {
        let mut request = request("POST", "/things", Some(token));
        request.headers_mut().insert("idempotency-key", key.parse().expect("a header"));
        shop.send(request).await.body["id"].clone()
    };
    let first = post(&one, "k").await;
    assert!(first.is_string());
    assert_eq!(post(&one, "k").await, first);
    assert_ne!(post(&one, "l").await, first);
    assert_ne!(post(&two, "k").await, first);
    let without = shop.send(request("POST", "/things", Some(&one))).await;
    assert_eq!((without.status, without.code()), (400, "idempotency_key_missing"));
}

#[tokio::test]
async fn every_request_is_counted_under_its_route() {
    let shop = Shop::new();
    shop.rules(&["public GET /things.*"]);
    let id = new_uuid();
    assert_eq!(shop.get(&format!("/things/{id}"), None).await.body, id.to_string());
    shop.get("/nowhere", None).await;
    shop.get("/things/x/y", None).await;
    shop.send(request("BREW", "/things", None)).await;
    let text = shop.edge.metrics.render().expect("text");
    for line in [
        "gomall_http_requests_total{method=\"GET\",route=\"/things/{id}\",status=\"200\"} 1",
        "gomall_http_requests_total{method=\"GET\",route=\"none\",status=\"401\"} 1",
        "gomall_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "gomall_http_requests_total{method=\"other\",route=\"none\",status=\"401\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_every_answer() {
    let shop = Shop::new();
    shop.rules(&["public GET /who"]);
    for path in ["/who", "/nowhere", "//"] {
        let answer = shop.get(path, None).await;
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with the lock").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("no test panics with the lock").clone();
        let text = String::from_utf8(bytes).expect("a log is text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_that_names_it_and_no_secret() {
    let shop = Shop::new();
    shop.rules(&["+customer GET /things.*"]);
    let (_, token) = shop.sign_in(&["customer"]);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber("info", move || writer.clone()).expect("a filter");
    // While there is only one subscriber, whether a line is wanted is asked of whichever thread
    // comes first, and another test's thread has none. A second one ends that shortcut.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let id = new_uuid();
    let mut request = request("GET", &format!("/things/{id}?token=hunter2"), Some(&token));
    request.headers_mut().insert("traceparent", PARENT.parse().expect("a header"));
    let answer = shop.send(request).with_subscriber(subscriber).await;
    let lines = log.lines();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(line["http.route"], "/things/{id}");
    assert_eq!((&line["http.method"], &line["http.status"]), (&json!("GET"), &json!(200)));
    assert!(line["duration_ms"].is_number());
    assert_eq!(line["span"]["trace.id"], PARENT[3..35]);
    let request_id = answer.headers["x-request-id"].to_str().expect("visible ASCII");
    assert_eq!(line["span"]["request.id"], request_id);
    let text = line.to_string();
    assert!(!text.contains(&token) && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_logged_and_counted_too() {
    let shop = Shop::new();
    shop.rules(&["public GET /slow"]);
    let mut waiting = Box::pin(shop.get("/slow", None));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(waiting);
    let text = shop.edge.metrics.render().expect("text");
    let line = "gomall_http_requests_total{method=\"GET\",route=\"/slow\",status=\"499\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
}
