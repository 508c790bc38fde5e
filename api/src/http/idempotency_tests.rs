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

#[test]
fn keys_of_different_principals_methods_paths_and_clients_never_meet() {
    let base = CommandKey::new("user:1", "POST", "/api/v1/orders", "k");
    assert_eq!(base, CommandKey::new("user:1", "POST", "/api/v1/orders", "k"));
    for other in [
        CommandKey::new("user:2", "POST", "/api/v1/orders", "k"),
        CommandKey::new("user:1", "PUT", "/api/v1/orders", "k"),
        CommandKey::new("user:1", "POST", "/api/v1/order", "sk"),
        CommandKey::new("user:1", "POST", "/api/v1/orders", "l"),
        CommandKey::new("user:1P", "OST", "/api/v1/orders", "k"),
    ] {
        assert_ne!(base, other);
        assert_ne!(base.uuid(), other.uuid());
        assert_ne!(base.id("order"), other.id("order"));
    }
}

#[test]
fn a_retry_comes_to_the_same_ids_and_steps() {
    let key = || CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k");
    assert_eq!(key().id("order"), key().id("order"));
    assert_eq!(key().step("pay").uuid(), key().step("pay").uuid());
    assert_ne!(key().id("order"), key().id("payment"));
    assert_ne!(key().step("pay"), key().step("ship"));
    assert_ne!(key().step("pay").uuid(), key().uuid());
    // An id is shown to the client; it must not give away the name that the journal records.
    assert_ne!(key().id("pay"), key().step("pay").uuid());
}

#[test]
fn ids_have_the_form_of_every_other_id() {
    let id = CommandKey::new("user:1", "POST", "/", "k").id("order");
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
}

#[test]
fn a_key_runs_once_at_a_time() {
    let in_flight = InFlight::default();
    let key = CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k");
    let running = in_flight.begin(key).expect("nothing runs yet");
    let second = in_flight.begin(key).expect_err("it runs");
    assert_eq!((second.status().as_u16(), second.code()), (409, "request_in_progress"));
    assert!(in_flight.begin(key.step("other")).is_ok());
    drop(running);
    assert!(in_flight.begin(key).is_ok());
}

#[tokio::test]
async fn a_request_goes_on_and_holds_its_key_when_its_client_has_left() {
    let (in_flight, key) =
        (InFlight::default(), CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k"));
    let (writer, answer) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel();
    let mut request = Box::pin(in_flight.run(key, async move {
        let _ = done.send(answer.await);
        Ok(())
    }));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);
    assert!(in_flight.begin(key).is_err(), "the writer has not answered yet");
    writer.send(7).expect("somebody waits");
    assert_eq!(is_done.await, Ok(Ok(7)));
    compose::testing::eventually("the key is free", || async { in_flight.begin(key).ok() }).await;
}

#[tokio::test]
async fn what_panics_on_the_way_panics_in_the_request() {
    let (in_flight, key) =
        (InFlight::default(), CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k"));
    let panics = in_flight.clone();
    let request = tokio::spawn(async move {
        panics.run(key, async { if true { panic!("on purpose") } else { Ok(()) } }).await
    });
    assert!(request.await.expect_err("it has panicked").is_panic());
    assert!(in_flight.begin(key).is_ok());
}
