use super::*;
use axum::http::Request;
use axum::response::IntoResponse;
use domain::Position;

fn parts(name: HeaderName, values: &[&'static str]) -> Parts {
    let mut request = Request::get("/").body(()).expect("a request");
    for value in values {
        request.headers_mut().append(name.clone(), HeaderValue::from_static(value));
    }
    request.into_parts().0
}

#[test]
fn an_etag_is_version_and_position() {
    assert_eq!(Etag::new(3, Position::new(41)).to_string(), "\"3.41\"");
    let response = (Etag::new(3, Position::new(41)), ()).into_response();
    assert_eq!(response.headers()[ETAG], "\"3.41\"");
}

#[tokio::test]
async fn a_change_without_if_match_is_refused() {
    let mut without = parts(IF_MATCH, &[]);
    let required = <IfMatch as FromRequestParts<()>>::from_request_parts(&mut without, &()).await;
    let problem = required.expect_err("it is required");
    assert_eq!((problem.status().as_u16(), problem.code()), (428, "precondition_required"));
    let optional =
        <IfMatch as OptionalFromRequestParts<()>>::from_request_parts(&mut without, &()).await;
    assert_eq!(optional.expect("it is optional"), None);
}

#[tokio::test]
async fn if_match_compares_the_version_only() {
    for (values, outcome) in [
        (&["\"3.41\""][..], Ok(())),
        (&["\"3.7\""], Ok(())),
        (&["W/\"3.41\""], Ok(())),
        (&["\"3.41-gzip\""], Ok(())),
        (&["W/\"3.41-gzip\""], Ok(())),
        (&["\"3.41-br\""], Ok(())),
        (&["\"2.41-gzip\""], Err("version_conflict")),
        (&["\"3.41-gzip-gzip\""], Err("version_conflict")),
        (&["\"3.41-x\""], Err("version_conflict")),
        (&["*"], Ok(())),
        (&["\"2.1\", \"3.1\""], Ok(())),
        (&["\"2.1\"", "\"3.1\""], Ok(())),
        (&["\"2.41\""], Err("version_conflict")),
        (&["\"4.41\""], Err("version_conflict")),
        (&["\"3\""], Err("version_conflict")),
        (&["3.41"], Err("version_conflict")),
        (&["\"03.41\""], Err("version_conflict")),
        (&["\"+3.41\""], Err("version_conflict")),
        (&["\"x\""], Err("version_conflict")),
        (&[""], Err("version_conflict")),
        (&["\"18446744073709551616.1\""], Err("version_conflict")),
    ] {
        let if_match = if_match(&parts(IF_MATCH, values).headers).expect("the header is there");
        assert_eq!(if_match.check(3).map_err(|problem| problem.code()), outcome, "{values:?}");
    }
}

#[test]
fn the_bus_expects_one_version() {
    let version = |values: &[&'static str]| {
        let if_match = if_match(&parts(IF_MATCH, values).headers).expect("the header is there");
        if_match.version().map_err(|problem| problem.status().as_u16())
    };
    assert_eq!(version(&["*"]), Ok(None));
    assert_eq!(version(&["\"3.41\""]), Ok(Some(3)));
    assert_eq!(version(&["\"3.41\", \"3.42\""]), Ok(Some(3)));
    assert_eq!(version(&["\"3.41\", \"4.42\""]), Err(412));
    assert_eq!(version(&["\"x\""]), Err(412));
}

#[tokio::test]
async fn a_get_is_answered_with_304_when_the_whole_tag_is_known() {
    for (values, status) in [
        (&[][..], 200),
        (&["\"3.41\""], 304),
        (&["W/\"3.41\""], 304),
        (&["\"3.41-gzip\""], 304),
        (&["\"1.1\", \"3.41\""], 304),
        (&["*"], 304),
        (&["\"3.40\""], 200),
        (&["\"2.41\""], 200),
        (&["garbage"], 200),
    ] {
        let mut parts = parts(IF_NONE_MATCH, values);
        let Ok(known) = IfNoneMatch::from_request_parts(&mut parts, &()).await;
        let response = known.answer(Etag::new(3, Position::new(41)), "body");
        assert_eq!(response.status().as_u16(), status, "{values:?}");
        assert_eq!(response.headers()[ETAG], "\"3.41\"", "{values:?}");
    }
}
