use super::*;
use crate::http::Json;
use crate::telemetry::context::RequestContext;
use axum::body::to_bytes;
use axum::http::HeaderMap;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
#[error("only 2 pieces are left")]
struct OutOfStock(RejectionKind);

impl domain::Rejection for OutOfStock {
    fn code(&self) -> &'static str {
        "out_of_stock"
    }

    fn kind(&self) -> RejectionKind {
        self.0
    }

    fn extra(&self) -> Option<Value> {
        Some(json!({"lines": [{"sku": "mug", "available": 2}], "status": 200}))
    }
}

async fn rendered(problem: impl IntoResponse) -> (StatusCode, HeaderMap, Value) {
    let (parts, body) = problem.into_response().into_parts();
    let bytes = to_bytes(body, 1 << 20).await.expect("a rendered body is in memory");
    let body = serde_json::from_slice(&bytes).expect("a problem is JSON");
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn a_rejection_becomes_the_status_of_its_kind_with_its_members() {
    for (kind, status) in [
        (RejectionKind::Absent, 404),
        (RejectionKind::Conflict, 409),
        (RejectionKind::Invalid, 422),
        (RejectionKind::Denied, 403),
        (RejectionKind::Unauthenticated, 401),
        (RejectionKind::TooMany, 429),
    ] {
        let rejection: Box<dyn domain::Rejection> = Box::new(OutOfStock(kind));
        let (got, headers, body) = rendered(Problem::from(rejection)).await;
        assert_eq!(got.as_u16(), status);
        assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(headers.contains_key(WWW_AUTHENTICATE), status == 401);
        assert_eq!(
            body,
            json!({
                "type": "urn:gomall:problem:out_of_stock",
                "title": "Out of stock",
                "status": status,
                "code": "out_of_stock",
                "detail": "Only 2 pieces are left.",
                "trace_id": "",
                "lines": [{"sku": "mug", "available": 2}],
            })
        );
    }
}

#[tokio::test]
async fn a_problem_names_the_trace_of_its_request() {
    let context = RequestContext::new(&HeaderMap::new(), Uuid::from_u128(0xabc), 1);
    let (_, _, body) = context.scope(rendered(Problem::not_found())).await;
    assert_eq!(body["trace_id"], "00000000000000000000000000000abc");
}

#[tokio::test]
async fn a_failure_of_ours_tells_nothing_about_our_insides() {
    let cause = std::io::Error::other("password=hunter2 at 10.0.0.7");
    let (status, _, body) = rendered(Problem::internal(&cause)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("hunter2"));
}

#[tokio::test]
async fn field_errors_carry_a_pointer_and_parameter_errors_a_parameter() {
    let (status, _, body) =
        rendered(Problem::invalid_field("/lines/0/sku", "expected a SKU")).await;
    assert_eq!((status.as_u16(), &body["code"]), (422, &json!("invalid_field")));
    assert_eq!(
        body["errors"],
        json!([{"pointer": "/lines/0/sku", "code": "invalid_field", "message": "expected a SKU"}])
    );
    let (status, _, body) =
        rendered(Problem::invalid_parameter("limit", "expected a number")).await;
    assert_eq!((status.as_u16(), &body["code"]), (422, &json!("invalid_parameter")));
    let error = json!([{"parameter": "limit", "code": "invalid_parameter", "message": "expected a number"}]);
    assert_eq!(body["errors"], error);
}

#[tokio::test]
async fn what_passes_soon_says_when_to_come_back() {
    for problem in [
        Problem::overloaded(),
        Problem::projection_behind(),
        Problem::policy_behind(),
        Problem::timed_out(),
        Problem::unavailable(&std::io::Error::other("refused")),
        Problem::rate_limited(3),
    ] {
        let (status, headers, body) = rendered(problem).await;
        assert!(headers.contains_key(RETRY_AFTER), "{body}");
        assert!(matches!(status.as_u16(), 429 | 503), "{body}");
    }
}

#[tokio::test]
async fn an_error_in_another_form_is_put_into_ours() {
    let foreign = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET,HEAD")], "no").into_response();
    let (status, headers, body) = rendered(normalized(foreign)).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers[ALLOW], "GET,HEAD");
    assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON);
    assert_eq!(body["code"], "method_not_allowed");

    let fine = normalized(Json(json!({"ok": true})).into_response());
    assert_eq!(fine.headers()[CONTENT_TYPE], crate::http::JSON_UTF8);
}
