use super::{InvalidSignature, Notification, TOLERANCE, WebhookSecret, sign, verify};
use commands::payments::ProviderAnswer;
use domain::{Currency, Money};
use http::{HeaderMap, HeaderValue};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &[u8] = br#"{"type":"payment.updated","id":"evt_1","payment_id":"01890a5d-ac96-774b-bcce-b302099a8057","status":"captured","amount":990,"currency":"USD","code":null,"url":null}"#;

fn secret() -> WebhookSecret {
    SECRET.parse().expect("the constant is a secret")
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("the constant is a time")
}

fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("the constant is a header");
    HeaderMap::from_iter([
        (http::HeaderName::from_static("webhook-id"), value(id)),
        (http::HeaderName::from_static("webhook-timestamp"), value(timestamp)),
        (http::HeaderName::from_static("webhook-signature"), value(signature)),
    ])
}

fn signed(body: &[u8]) -> HeaderMap {
    headers("evt_1", "1700000000", &sign(&secret(), "evt_1", "1700000000", body))
}

#[test]
fn the_published_example_of_standard_webhooks_is_signed_the_same() {
    let body = br#"{"test": 2432232314}"#;
    let signature = sign(&secret(), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_signed_notification_is_read() {
    let amount = Money::new(990, Currency::USD).expect("in range");
    let expected = Notification {
        event_id: "evt_1".to_owned(),
        payment_id: Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057).into(),
        answer: ProviderAnswer::Captured { amount },
    };
    assert_eq!(verify(&secret(), &signed(BODY), BODY, at(1_700_000_000)), Ok(expected));
}

#[test]
fn any_of_several_signatures_is_enough() {
    let right = sign(&secret(), "evt_1", "1700000000", BODY);
    let several = format!("v1a,AAAA v1,AAAA {right}");
    let headers = headers("evt_1", "1700000000", &several);
    assert!(verify(&secret(), &headers, BODY, at(1_700_000_000)).is_ok());
}

#[test]
fn a_change_of_body_id_timestamp_or_secret_is_a_mismatch() {
    let now = at(1_700_000_000);
    let right = sign(&secret(), "evt_1", "1700000000", BODY);
    let mut other_body = BODY.to_vec();
    other_body[1] = b' ';
    let other_secret: WebhookSecret =
        "b3RoZXIgc2VjcmV0IHRoYXQgaXMgbG9uZw==".parse().expect("a secret");
    let mismatch = Err(InvalidSignature::Mismatch);
    assert_eq!(verify(&secret(), &signed(BODY), &other_body, now), mismatch);
    assert_eq!(verify(&other_secret, &signed(BODY), BODY, now), mismatch);
    for (id, timestamp) in [("evt_2", "1700000000"), ("evt_1", "1700000001")] {
        let headers = headers(id, timestamp, &right);
        assert_eq!(verify(&secret(), &headers, BODY, now), mismatch);
    }
    for signature in ["", "v1,", "v1", "v2,AAAA", &right[3..], &right[..20]] {
        let headers = headers("evt_1", "1700000000", signature);
        assert_eq!(verify(&secret(), &headers, BODY, now), mismatch, "{signature}");
    }
}

#[test]
fn a_timestamp_outside_the_tolerance_is_refused_in_both_directions() {
    let sent = at(1_700_000_000);
    let second = Duration::SECOND;
    for (now, accepted) in [
        (sent + TOLERANCE, true),
        (sent - TOLERANCE, true),
        (sent + TOLERANCE + second, false),
        (sent - TOLERANCE - second, false),
    ] {
        assert_eq!(verify(&secret(), &signed(BODY), BODY, now).is_ok(), accepted, "{now}");
    }
}

#[test]
fn absent_and_unreadable_headers_are_refused() {
    let now = at(1_700_000_000);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut headers = signed(BODY);
        headers.remove(name);
        assert_eq!(verify(&secret(), &headers, BODY, now), Err(InvalidSignature::Headers));
    }
    for timestamp in ["", "now", "1.7e9", "99999999999999999999"] {
        let headers = headers("evt_1", timestamp, "v1,AAAA");
        assert_eq!(verify(&secret(), &headers, BODY, now), Err(InvalidSignature::Headers));
    }
    let headers = headers("evt_1", "9223372036854775807", "v1,AAAA");
    assert_eq!(verify(&secret(), &headers, BODY, now), Err(InvalidSignature::Timestamp));
}

#[test]
fn a_signed_body_that_is_no_notification_is_told_apart() {
    for body in [&b"{}"[..], b"", br#"{"type":"invoice.paid","id":"1","payment_id":"01890a5d-ac96-774b-bcce-b302099a8057","status":"captured"}"#] {
        let outcome = verify(&secret(), &signed(body), body, at(1_700_000_000));
        assert_eq!(outcome, Err(InvalidSignature::Body));
    }
}

#[test]
fn a_secret_is_base64_with_or_without_prefix_and_padding_and_never_shown() {
    for text in [
        "whsec_dHdlbnR5LWZpdmUgYnl0ZXMsIHNlY3JldA==",
        "dHdlbnR5LWZpdmUgYnl0ZXMsIHNlY3JldA==",
        "dHdlbnR5LWZpdmUgYnl0ZXMsIHNlY3JldA",
    ] {
        assert!(text.parse::<WebhookSecret>().is_ok(), "{text}");
    }
    let short = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=";
    for text in ["", "whsec_", "not base64!", short] {
        assert!(text.parse::<WebhookSecret>().is_err(), "{text}");
    }
    assert_eq!(format!("{:?}", secret()), "WebhookSecret(redacted)");
}
