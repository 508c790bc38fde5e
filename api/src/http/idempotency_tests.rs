use super::*;
use axum::http::HeaderValue;

fn read(values: &[&[u8]]) -> Result<Option<String>, &'static str> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).expect("a legal header"));
    }
    header(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.code())
}

#[test]
fn a_key_is_one_header_of_visible_ascii() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[b"a"]), Ok(Some("a".into())));
    assert_eq!(read(&[&[b'~'; 255]]), Ok(Some("~".repeat(255))));
    for bad in [&b""[..], &[b'x'; 256], b"a b", b"a\tb", b"\xc3\xa4", b"\xff"] {
        assert_eq!(read(&[bad]), Err("idempotency_key_invalid"), "{bad:?}");
    }
    assert_eq!(read(&[b"a", b"a"]), Err("idempotency_key_invalid"));
}
