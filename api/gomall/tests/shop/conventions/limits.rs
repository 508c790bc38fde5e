//! How often one may ask.

use super::Scene;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// What `/api/v1/auth/` takes from one address at once.
const AUTH_BURST: usize = 50;

/// Far above what comes back while so many are sent.
const ENOUGH: usize = 1_000;

/// The headers on every answer; after the burst 429, and when the next one may pass.
pub(crate) async fn who_asks_too_often_is_told_when_to_come_back(scene: &Scene) {
    let limited = scene.shop.serve_with(&[("GOMALL_LIMITS", "on")]);
    let visitor = scene.visitor.at(&limited);
    let first = visitor.get("/api/v1/products").await;
    first.expect(StatusCode::OK);
    assert_eq!(first.header("ratelimit-policy"), Some("\"address\";q=600;w=2"));
    let left = first.header("ratelimit").expect("what is left is said");
    assert!(left.starts_with("\"address\";r=5"), "{left}");
    let signed_in = scene.customer.at(&limited).get("/api/v1/me").await;
    let policy = Some("\"address\";q=600;w=2, \"user\";q=200;w=2");
    assert_eq!(signed_in.header("ratelimit-policy"), policy);

    // Without a proxy that is trusted nobody gets another address by saying so.
    let ask = async |number: usize| {
        let address = format!("198.51.100.{}", number % 250);
        let headers = [("x-forwarded-for", address.as_str())];
        let body = json!({"refresh_token": "nonsense"});
        visitor.send(Method::POST, "/api/v1/auth/refresh", &headers, Some(&body)).await
    };
    let mut passed = 0;
    let refused = loop {
        let answer = ask(passed).await;
        let policy = "\"address\";q=600;w=2, \"auth\";q=50;w=5";
        assert_eq!(answer.header("ratelimit-policy"), Some(policy));
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        answer.refused(401, "unauthenticated");
        passed += 1;
        assert!(passed < ENOUGH, "nobody is ever refused");
    };
    assert!(passed >= AUTH_BURST, "{passed} passed");
    refused.refused(429, "rate_limited");
    let seconds: u64 =
        refused.header("retry-after").expect("it says when").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    let left = refused.header("ratelimit").expect("what is left is said");
    assert!(left.contains(&format!("\"auth\";r=0;t={seconds}")), "{left}");
    // Everything else goes on.
    visitor.get("/api/v1/products").await.expect(StatusCode::OK);
    // The other process has no limits.
    assert_eq!(scene.visitor.get("/api/v1/products").await.header("ratelimit"), None);
}
