//! An event that was stored in another shape, or under another name, is read as the one of today.
//!
//! One event of the shop's own has a past, `UserBanned`; this enum has a longer one.

use domain::{DecodeError, EventTypes, Undecodable, decode_event, decode_parsed, encode_event};
use domain::{event_types, is_every_version_before};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum ParcelEvent {
    /// Was `ParcelPosted` with pounds; then that with grams; is this with its sender.
    ParcelSent {
        grams: u64,
        sender: Option<String>,
    },
    ParcelLost {},
}

#[derive(Deserialize, JsonSchema)]
struct ParcelPostedV1 {
    pounds: u64,
}

#[derive(Deserialize, JsonSchema)]
struct ParcelSentV2 {
    grams: u64,
}

impl From<ParcelPostedV1> for ParcelSentV2 {
    fn from(old: ParcelPostedV1) -> Self {
        Self { grams: old.pounds * 454 }
    }
}

impl From<ParcelSentV2> for ParcelEvent {
    fn from(old: ParcelSentV2) -> Self {
        // Told apart from what today's shape makes of a member that is not there.
        Self::ParcelSent { grams: old.grams, sender: Some("not recorded".to_owned()) }
    }
}

event_types!(ParcelEvent {
    ParcelSent: 3 <- { 1: ParcelPostedV1 as ParcelPosted, 2: ParcelSentV2 },
    ParcelLost: 1,
});

fn decode(event_type: &str, version: &str, payload: &str) -> Result<ParcelEvent, DecodeError> {
    let event: ParcelEvent = decode_event(event_type, version, payload)?;
    let parsed = serde_json::from_str(payload).expect("what decodes is JSON");
    assert_eq!(decode_parsed(event_type, version, parsed).as_ref().ok(), Some(&event));
    Ok(event)
}

fn sent(grams: u64, sender: Option<&str>) -> ParcelEvent {
    ParcelEvent::ParcelSent { grams, sender: sender.map(str::to_owned) }
}

#[test]
fn an_older_version_is_taken_step_by_step_to_the_one_of_today() {
    let unknown = Some("not recorded");
    assert_eq!(decode("ParcelPosted", "1", r#"{"pounds":2}"#).ok(), Some(sent(908, unknown)));
    assert_eq!(decode("ParcelSent", "2", r#"{"grams":30}"#).ok(), Some(sent(30, unknown)));
    assert_eq!(decode("ParcelSent", "3", r#"{"grams":30}"#).ok(), Some(sent(30, None)));
    assert_eq!(decode("ParcelLost", "1", "{}").ok(), Some(ParcelEvent::ParcelLost {}));
}

#[test]
fn what_is_written_is_the_version_of_today() {
    use cqrs_es::DomainEvent;
    let event = decode("ParcelPosted", "1", r#"{"pounds":1}"#).expect("it decodes");
    assert_eq!((event.event_type().as_str(), event.event_version().as_str()), ("ParcelSent", "3"));
    let payload = encode_event(&event).expect("it encodes");
    assert_eq!(decode("ParcelSent", "3", &payload).ok(), Some(event));
}

#[test]
fn a_version_is_read_in_its_own_shape_or_not_at_all() {
    // Each payload would decode as some other version.
    for (event_type, version, payload) in [
        ("ParcelSent", "2", r#"{"pounds":2}"#),
        ("ParcelSent", "3", r#"{"pounds":2}"#),
        ("ParcelPosted", "1", r#"{"grams":30}"#),
    ] {
        let error = decode(event_type, version, payload).expect_err("another version's shape");
        assert!(matches!(error.reason, Undecodable::Payload(_)), "{error}");
    }
}

#[test]
fn a_newer_version_or_type_is_refused_and_named() {
    let payload = r#"{"grams":30,"sender":null,"pounds":2}"#;
    for (event_type, version, said) in [
        ("ParcelSent", "4", "the newest version that this build knows is 3"),
        ("ParcelSent", "two", "the newest version that this build knows is 3"),
        ("ParcelLost", "2", "the newest version that this build knows is 1"),
        ("ParcelPosted", "2", "the newest version that this build knows is 1"),
        ("ParcelEaten", "1", "this build does not know the type"),
    ] {
        let error = decode(event_type, version, payload).expect_err("nothing knows it");
        let expected = format!("event {event_type} version {version} cannot be decoded: {said}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_past_of_an_event_is_listed_beside_its_present() {
    assert_eq!(ParcelEvent::TYPES, [("ParcelSent", 3), ("ParcelLost", 1)]);
    let older: Vec<_> =
        ParcelEvent::OLDER.iter().map(|old| (old.event_type, old.version)).collect();
    assert_eq!(older, [("ParcelPosted", 1), ("ParcelSent", 2)]);
}

#[test]
fn a_version_needs_every_version_before_it() {
    // `event_types!` asserts this while it is compiled.
    assert!(is_every_version_before(1, &[]));
    assert!(is_every_version_before(3, &[1, 2]));
    for (current, older) in
        [(0, &[][..]), (2, &[]), (3, &[1]), (3, &[2]), (3, &[2, 1]), (1, &[1]), (2, &[1, 2])]
    {
        assert!(!is_every_version_before(current, older), "{current} {older:?}");
    }
}
