use super::*;
use axum::body::Body as HttpBody;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::{Money, Quantity, Sku};
use serde::Deserialize;
use serde_json::json;

// Deliberately without `deny_unknown_fields`: the extractor must not depend on it.
#[derive(Debug, PartialEq, Deserialize)]
struct Order {
    sku: Sku,
    quantity: Quantity,
    #[serde(default)]
    prices: Vec<Money>,
    note: Option<String>,
    address: Option<Place>,
    delivery: Option<Delivery>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    city: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Delivery {
    Post,
    Shop { floor: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Optional {
    reason: Option<String>,
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<Body<T>, (u16, serde_json::Value)> {
    match Body::from_request(request, &()).await {
        Ok(body) => Ok(body),
        Err(problem) => {
            let response = problem.into_response();
            let status = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
                .await
                .expect("a rendered body is in memory");
            Err((status, serde_json::from_slice(&bytes).expect("a problem is JSON")))
        }
    }
}

fn json_request(body: impl Into<HttpBody>) -> Request {
    Request::post("/")
        .header(CONTENT_TYPE, "application/json")
        .body(body.into())
        .expect("a plain request")
}

async fn refused(body: &str) -> (u16, String, String) {
    let (status, problem) = read::<Order>(json_request(body.to_owned())).await.expect_err(body);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let pointer = &problem["errors"][0]["pointer"];
    assert!(pointer.is_null() || problem["errors"][0]["code"] == problem["code"], "{problem}");
    (status, text(&problem["code"]), text(pointer))
}

#[tokio::test]
async fn a_body_that_fits_is_read() {
    let text = r#"{"sku":"mug","quantity":2,"prices":[{"amount":990,"currency":"USD"}],
        "note":null,"address":{"city":"Bern"},"delivery":{"shop":{"floor":1}}}"#;
    let order = read::<Order>(json_request(text)).await.expect("it fits").value;
    assert_eq!(order.quantity.get(), 2);
    assert_eq!(order.delivery, Some(Delivery::Shop { floor: 1 }));
    assert_eq!(order.address, Some(Place { city: "Bern".into() }));
    let text = r#"{"sku":"mug","quantity":2,"delivery":"post"}"#;
    let order = read::<Order>(json_request(text)).await.expect("it fits").value;
    assert_eq!(order.delivery, Some(Delivery::Post));
}

#[tokio::test]
async fn every_misfit_has_its_code_and_points_at_the_offending_member() {
    for (body, code, pointer) in [
        (r#"{"quantity":1}"#, "missing_field", "/sku"),
        (r#"{"sku":"mug"}"#, "missing_field", "/quantity"),
        ("", "missing_field", "/sku"),
        (r#"{"sku":"mug","quantity":1,"x":1}"#, "unknown_field", "/x"),
        (r#"{"sku":"mug","quantity":1,"a/b~c":{"d":1}}"#, "unknown_field", "/a~1b~0c"),
        (
            r#"{"sku":"mug","quantity":1,"address":{"city":"B","x":1}}"#,
            "unknown_field",
            "/address/x",
        ),
        (r#"{"sku":"mug","quantity":1,"address":{}}"#, "missing_field", "/address/city"),
        (r#"{"sku":"mug","quantity":0}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":1000}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":-1}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":1.0}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":1e999}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":99999999999999999999}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":"1"}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"mug","quantity":null}"#, "invalid_field", "/quantity"),
        (r#"{"sku":"no spaces","quantity":1}"#, "invalid_field", "/sku"),
        (r#"{"sku":["mug"],"quantity":1}"#, "invalid_field", "/sku"),
        (r#"{"sku":"mug","quantity":1,"note":"a\u0000b"}"#, "invalid_field", "/note"),
        (r#"{"sku":"mug","quantity":1,"address":["Bern"]}"#, "invalid_field", "/address"),
        (r#"{"sku":"mug","quantity":1,"delivery":"drone"}"#, "invalid_field", "/delivery"),
        (
            r#"{"sku":"mug","quantity":1,"delivery":{"shop":{}}}"#,
            "missing_field",
            "/delivery/shop/floor",
        ),
        (
            r#"{"sku":"mug","quantity":1,"prices":[{"amount":1,"currency":"USD"},{"amount":1,"currency":"XXX"}]}"#,
            "invalid_field",
            "/prices/1/currency",
        ),
        (
            r#"{"sku":"mug","quantity":1,"prices":[{"amount":-1,"currency":"USD"}]}"#,
            "invalid_field",
            "/prices/0/amount",
        ),
        (
            r#"{"sku":"mug","quantity":1,"prices":[{"amount":1}]}"#,
            "missing_field",
            "/prices/0/currency",
        ),
        ("[]", "invalid_field", ""),
        (r#"["mug", 1]"#, "invalid_field", ""),
        ("null", "invalid_field", ""),
        ("7", "invalid_field", ""),
    ] {
        assert_eq!(refused(body).await, (422, code.to_owned(), pointer.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn what_is_not_json_or_is_ambiguous_is_malformed() {
    let deep = "[".repeat(100_000);
    for body in [
        "{",
        "{]",
        "nul",
        "{} {}",
        r#"{"sku":"mug",}"#,
        "{'sku':1}",
        "\u{feff}{}",
        "NaN",
        " ",
        &deep,
        r#"{"sku":"mug","sku":"cup","quantity":1}"#,
        r#"{"sku":"mug","quantity":1,"address":{"city":"B","city":"C"}}"#,
        "{\"sku\":\"a\nb\"}",
    ] {
        assert_eq!(refused(body).await, (400, "malformed_json".into(), "-".into()), "{body:.40}");
    }
    let (status, problem) =
        read::<Order>(json_request(b"{\"sku\":\"\xff\"}".to_vec())).await.expect_err("not UTF-8");
    assert_eq!((status, &problem["code"]), (400, &json!("malformed_json")));
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let body = r#"{"sku":{"password":"hunter2"},"quantity":1}"#;
    let (_, problem) = read::<Order>(json_request(body)).await.expect_err("no SKU");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    let request = |kind: Option<&str>, encoding: Option<&str>, body: &'static str| {
        let mut request = Request::post("/");
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        request.header(CONTENT_LENGTH, body.len()).body(HttpBody::from(body)).expect("a request")
    };
    let body = r#"{"reason":"late"}"#;
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
    ] {
        assert!(read::<Optional>(request(Some(kind), None, body)).await.is_ok(), "{kind}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/merge-patch+json"),
        Some("application/json; charset=latin1"),
        Some("application/jsonp"),
        Some(""),
    ] {
        let (status, problem) =
            read::<Optional>(request(kind, None, body)).await.expect_err("not JSON");
        assert_eq!((status, &problem["code"]), (415, &json!("unsupported_media_type")), "{kind:?}");
    }
    let gzip = request(Some("application/json"), Some("gzip"), body);
    assert_eq!(read::<Optional>(gzip).await.expect_err("encoded").0, 415);
    // Without a length the format is found out when bytes come.
    let unannounced = Request::post("/").body(HttpBody::from(body)).expect("a request");
    assert_eq!(read::<Optional>(unannounced).await.expect_err("no type").0, 415);
}

#[tokio::test]
async fn an_empty_body_is_enough_where_nothing_is_required() {
    let empty = || Request::post("/").body(HttpBody::empty()).expect("a request");
    let absent = read::<Optional>(empty()).await.expect("nothing is required");
    assert_eq!(absent.value, Optional { reason: None });
    let spelled = read::<Optional>(json_request("{}")).await.expect("nothing is required");
    assert_eq!(absent.fingerprint, spelled.fingerprint);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let fits = format!("{{\"reason\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES - 13));
    assert_eq!(fits.len(), MAX_BODY_BYTES);
    assert!(read::<Optional>(json_request(fits.clone())).await.is_ok());

    let too_large = fits.replace("x\"", "xx\"");
    let (status, problem) =
        read::<Optional>(json_request(too_large.clone())).await.expect_err("too large");
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));

    let announced = Request::post("/")
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, too_large.len())
        .body(HttpBody::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()))
        .expect("a request");
    assert_eq!(read::<Optional>(announced).await.expect_err("too large").0, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let request = json_request(HttpBody::from_stream(never));
    let (status, problem) = read::<Optional>(request).await.expect_err("nothing came");
    assert_eq!((status, &problem["code"]), (408, &json!("body_timeout")));
}

#[tokio::test]
async fn the_fingerprint_ignores_the_order_of_members_and_nothing_else() {
    let of = |text: &'static str| async move {
        let tree = json::parse(text.as_bytes()).expect("valid JSON");
        Fingerprint::of(&tree)
    };
    let base = of(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#).await;
    assert_eq!(base, of(r#" {"b": {"d":null,"c":[1, 2]}, "a":1} "#).await);
    for other in [
        r#"{"a":1,"b":{"c":[2,1],"d":null}}"#,
        r#"{"a":1,"b":{"c":[1,2]}}"#,
        r#"{"a":"1","b":{"c":[1,2],"d":null}}"#,
        r#"{"a":1,"b":{"c":[1,2],"d":false}}"#,
        r#"{"a":1,"c":{"c":[1,2],"d":null}}"#,
        r#"{"a":1,"b":[{"c":[1,2],"d":null}]}"#,
    ] {
        assert_ne!(base, of(other).await, "{other}");
    }
}

#[tokio::test]
async fn no_fingerprint_is_made_of_a_password() {
    let of = |text: &'static str| async move {
        Fingerprint::of(&json::parse(text.as_bytes()).expect("valid JSON"))
    };
    let base = of(r#"{"email":"a@example.com","password":"one"}"#).await;
    assert_eq!(base, of(r#"{"email":"a@example.com","password":"another"}"#).await);
    assert_ne!(base, of(r#"{"email":"b@example.com","password":"one"}"#).await);
    assert_ne!(base, of(r#"{"email":"a@example.com"}"#).await);
}

#[derive(Debug, PartialEq, Deserialize)]
struct Query {
    #[serde(default)]
    limit: super::super::Limit,
    after: Option<u64>,
    category: Option<Sku>,
    sort: Option<Sort>,
    q: Option<String>,
    deep: Option<bool>,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Sort {
    #[serde(rename = "-price")]
    PriceDescending,
}

async fn query(query: &str) -> Result<Query, (u16, serde_json::Value)> {
    let request = Request::get(format!("/x?{query}")).body(()).expect("a request");
    let (mut parts, ()) = request.into_parts();
    match Params::from_request_parts(&mut parts, &()).await {
        Ok(Params(query)) => Ok(query),
        Err(problem) => {
            let response = problem.into_response();
            assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
                .await
                .expect("a rendered body is in memory");
            let body: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(body["code"], "invalid_parameter");
            Err((422, body["errors"][0]["parameter"].clone()))
        }
    }
}

#[tokio::test]
async fn a_query_that_fits_is_read() {
    let read = query("limit=5&after=7&category=mug&sort=-price&q=a+b%2Bc%C3%A4&deep=true").await;
    let read = read.expect("it fits");
    assert_eq!(read.limit.get(), 5);
    assert_eq!(
        (read.after, read.deep, read.sort),
        (Some(7), Some(true), Some(Sort::PriceDescending))
    );
    assert_eq!(read.q.as_deref(), Some("a b+cä"));
    assert_eq!(query("").await.expect("nothing is required").limit.get(), 20);
}

#[tokio::test]
async fn every_bad_parameter_is_named() {
    for (text, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=18446744073709551616", "after"),
        ("after=%2B1x", "after"),
        ("category=no%20spaces", "category"),
        ("sort=size", "sort"),
        ("deep=1", "deep"),
        ("colour=red", "colour"),
        ("q=a%00b", "q"),
        ("q=%zz", "q"),
        ("q=%", "q"),
        ("q=%ff", "q"),
    ] {
        assert_eq!(query(text).await.expect_err(text).1, json!(parameter), "{text}");
    }
}
