use crate::support::Shop;
use async_nats::HeaderMap;
use async_nats::jetstream::stream;
use domain::{Position, RecordedEvent};
use nats::audit::{Auditor, Difference, MAX_DIFFERENCES, Part, Report};
use nats::stream::{AGGREGATE_ID_HEADER, EPOCH_METADATA, EVENT_ID_HEADER};
use nats::{RelayState, former_public_event, write_public_event};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use testkit::new_id;
use uuid::Uuid;

#[tokio::test]
async fn a_true_copy_is_one_also_while_it_is_behind_and_with_stubs() {
    let shop = Shop::open().await;
    assert!(audit(&shop).await.is_copy(), "an empty journal needs no stream");
    shop.append_many(300);
    let large = format!(r#"{{"payment_id":"{}"}}"#, "x".repeat(shop.client.max_payload()));
    shop.append(new_id(), "OrderPaid", &large);
    let relay = shop.start_relay();
    shop.reaches(301).await;
    drop(relay);
    shop.append_many(5);
    let report = audit(&shop).await;
    assert!(report.is_copy(), "{report}");
    assert_eq!((report.compared, report.stubs, report.lag()), (301, 1, 5));
}

#[tokio::test]
async fn a_hole_is_found_and_filled() {
    let shop = Shop::open().await;
    let stream = imitation(&shop, 20).await;
    for sequence in [7, 8, 15] {
        stream.delete_message(sequence).await.expect("nothing denies it");
    }
    let holes = [
        Difference::Hole { from: Position::new(7), to: Position::new(8) },
        Difference::Hole { from: Position::new(15), to: Position::new(15) },
    ];
    let before = audit(&shop).await;
    assert_eq!(before.differences, holes);
    assert_eq!((before.missing, before.compared), (3, 17));
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn what_is_missing_in_front_is_found_and_filled() {
    let shop = Shop::open().await;
    let stream = imitation(&shop, 20).await;
    stream.purge().sequence(6).await.expect("nothing denies it");
    let before = audit(&shop).await;
    assert_eq!(
        before.differences,
        [Difference::MissingFront { from: Position::new(1), to: Position::new(5) }]
    );
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn a_truncated_stream_is_behind_and_is_caught_up() {
    let shop = Shop::open().await;
    imitation(&shop, 12).await;
    shop.append_many(8);
    let before = audit(&shop).await;
    assert!(before.is_copy());
    assert_eq!(before.lag(), 8);
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn a_wiped_stream_is_found_and_filled() {
    let shop = Shop::open().await;
    shop.append_many(20);
    let before = audit(&shop).await;
    assert_eq!(before.differences, [Difference::NoStream]);
    assert_eq!(before.lag(), 20);
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn an_emptied_stream_is_found_and_filled() {
    let shop = Shop::open().await;
    let stream = imitation(&shop, 20).await;
    stream.purge().await.expect("nothing denies it");
    let before = audit(&shop).await;
    assert_eq!(
        before.differences,
        [Difference::MissingFront { from: Position::new(1), to: Position::new(20) }]
    );
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn torn_messages_are_found_and_replaced() {
    let shop = Shop::open().await;
    shop.append_many(20);
    let stream = empty(&shop).await;
    for event in shop.journal.events() {
        let (mut headers, mut body) = message_of(&event);
        match event.position.get() {
            3 => body.truncate(body.len() / 2),
            4 => *body.last_mut().expect("a body") = b' ',
            5 => headers.insert(AGGREGATE_ID_HEADER, "somebody else"),
            _ => {}
        }
        publish(&shop, &event, headers, body).await;
    }
    let before = audit(&shop).await;
    let content =
        |position, part| Difference::OtherContent { position: Position::new(position), part };
    let torn = [content(3, Part::Body), content(4, Part::Body), content(5, Part::Headers)];
    assert_eq!(before.differences, torn);
    assert_eq!(before.damaged, 3);
    drop(stream);
    repaired(&shop, before, SAME_EPOCH).await;
}

/// What a build published that did not yet withdraw the words of staff is a copy, the relay goes on behind
/// it, and nobody publishes them again.
#[tokio::test]
async fn a_stream_of_before_members_were_withdrawn_is_a_copy_and_a_repair_rids_it_of_them() {
    const WORDS: &str = "Ann Lee called";
    let shop = Shop::open().await;
    let booked = format!(r#"{{"quantity":1,"reason":"{WORDS}"}}"#);
    for _ in 0..10 {
        shop.append(new_id(), "OrderAddressChanged", "{}");
        shop.append(new_id(), "StockReceived", &booked);
    }
    empty(&shop).await;
    for event in shop.journal.events() {
        let (headers, body) = message_of(&event);
        publish(&shop, &event, headers, former_public_event(&event).unwrap_or(body)).await;
    }
    assert_eq!(bodies(&shop).await.matches(WORDS).count(), 10);

    let mut relay = shop.start_relay();
    relay.publishes().await;
    shop.append(new_id(), "StockReceived", &booked);
    shop.reaches(21).await;
    let report = audit(&shop).await;
    assert!(report.is_copy(), "{report}");
    assert_eq!((report.compared, report.former, report.damaged), (21, 10, 0));
    assert!(
        report.to_string().contains("10 messages hold what is not public any more"),
        "{report}"
    );
    assert_eq!(bodies(&shop).await.matches(WORDS).count(), 10, "the last one is without them");

    repaired(&shop, report, SAME_EPOCH).await;
    assert_eq!(bodies(&shop).await.matches(WORDS).count(), 0);
    assert_eq!(audit(&shop).await.former, 0);
    drop(relay);
    // Other words in their place are no form of the event.
    let event = Arc::clone(&shop.journal.events()[1]);
    let former = String::from_utf8(former_public_event(&event).expect("it has one")).expect("JSON");
    let other = shop.with_journal(&shop.journal.part(..=2));
    other.jetstream.delete_stream(&other.stream.name).await.expect("it is there");
    empty(&other).await;
    for event in other.journal.events() {
        let (headers, body) = message_of(&event);
        let torn = former.replace(WORDS, "Bob Lee called").into_bytes();
        let body = if event.event_type == "StockReceived" { torn } else { body };
        publish(&other, &event, headers, body).await;
    }
    assert_eq!(audit(&other).await.damaged, 1);
}

/// All that the stream holds, as text.
async fn bodies(shop: &Shop) -> String {
    let mut stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    let last = stream.info().await.expect("it is there").state.last_sequence;
    let mut text = String::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.expect("it is there");
        text.push_str(&String::from_utf8_lossy(&message.payload));
    }
    text
}

#[tokio::test]
async fn a_fork_is_found_and_ends_in_a_new_epoch() {
    let shop = Shop::open().await;
    imitation(&shop, 30).await;
    // Restored from a backup, gone on differently, and not as far.
    let fork = shop.with_journal(&shop.journal.part(..=25));
    fork.append_many(3);
    let before = audit(&fork).await;
    let other = |position: u64| Difference::OtherEvent {
        position: Position::new(position),
        journal_event: fork.journal.events()[position as usize - 1].event_id,
        stream_event: Some(shop.journal.events()[position as usize - 1].event_id),
    };
    let ahead = Difference::NotInJournal { from: Position::new(29), to: Position::new(30) };
    assert_eq!(before.differences, [other(26), other(27), other(28), ahead]);
    assert_eq!((before.foreign, before.compared), (5, 28));
    repaired(&fork, before, NEW_EPOCH).await;
}

#[tokio::test]
async fn of_many_differences_the_first_are_listed_and_all_are_counted() {
    let shop = Shop::open().await;
    imitation(&shop, 100).await;
    let fork = shop.with_journal(&shop.journal.part(..=0));
    fork.append_many(100);
    let report = audit(&fork).await;
    assert_eq!((report.foreign, report.differences.len()), (100, MAX_DIFFERENCES));
    assert!(report.to_string().contains("100 of another history"), "{report}");
}

#[tokio::test]
async fn an_emptied_stream_that_was_ahead_is_no_copy() {
    let shop = Shop::open().await;
    let stream = imitation(&shop, 30).await;
    stream.purge().await.expect("nothing denies it");
    let behind = shop.with_journal(&shop.journal.part(..=25));
    let before = audit(&behind).await;
    assert_eq!(
        before.differences.last(),
        Some(&Difference::NotInJournal { from: Position::new(26), to: Position::new(30) })
    );
    repaired(&behind, before, NEW_EPOCH).await;
}

#[tokio::test]
async fn another_epoch_is_found_and_filled_anew() {
    let shop = Shop::open().await;
    imitation(&shop, 20).await;
    let stream_epoch = epoch(&shop).await.to_string();
    let journal_epoch = nats::epoch::begin_anew(&shop.pool).await.expect("a new one");
    let before = audit(&shop).await;
    assert_eq!(before.differences, [Difference::OtherEpoch { journal_epoch, stream_epoch }]);
    repaired(&shop, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn a_repair_that_was_cut_off_after_it_began_an_epoch_begins_no_other() {
    let shop = Shop::open().await;
    imitation(&shop, 20).await;
    let fork = shop.with_journal(&shop.journal.part(..=15));
    fork.append_many(5);
    nats::epoch::begin_anew(&fork.pool).await.expect("a new one");
    let before = audit(&fork).await;
    assert_eq!(before.foreign, 5);
    repaired(&fork, before, SAME_EPOCH).await;
}

#[tokio::test]
async fn a_repair_cut_off_anywhere_can_be_repeated() {
    let shop = Shop::open().await;
    imitation(&shop, 200).await;
    let fork = shop.with_journal(&shop.journal.part(..=150));
    fork.append_many(400);
    let auditor = auditor(&fork);
    for cut_after_ms in [0, 2, 5, 10, 20, 40, 80] {
        let report = audit_of(&auditor, &fork).await;
        let repair = auditor.repair(report, fork.journal.head(), |_| {});
        let _cut_off = tokio::time::timeout(Duration::from_millis(cut_after_ms), repair).await;
    }
    let report = audit_of(&auditor, &fork).await;
    let repaired = auditor.repair(report, fork.journal.head(), |_| {}).await.expect("it ends");
    assert!(repaired.is_copy() && repaired.lag() == 0, "{repaired}");
    fork.check_copy().await;
}

#[tokio::test]
async fn a_running_relay_that_has_stopped_fills_the_repaired_stream() {
    let shop = Shop::open().await;
    imitation(&shop, 30).await;
    let fork = shop.with_journal(&shop.journal.part(..=25));
    fork.append_many(10);
    let mut relay = fork.start_relay();
    relay.is(|state| matches!(state, RelayState::Diverged(_))).await;
    let before = audit(&fork).await;
    repaired(&fork, before, NEW_EPOCH).await;
    relay.publishes().await;
    fork.append_many(10);
    fork.is_published().await;
}

#[tokio::test]
async fn an_audit_does_not_mind_a_relay_that_publishes_meanwhile() {
    let shop = Arc::new(Shop::open().await);
    shop.append_many(400);
    let _relay = shop.start_relay();
    shop.reaches(400).await;
    let appending = tokio::spawn({
        let shop = Arc::clone(&shop);
        async move {
            loop {
                shop.append_many(10);
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..5 {
        let report = audit(&shop).await;
        assert!(report.is_copy() && report.compared >= 400, "{report}");
    }
    appending.abort();
}

const SAME_EPOCH: bool = false;
const NEW_EPOCH: bool = true;

/// Repairs, and checks every message and whether the journal has begun a new epoch.
async fn repaired(shop: &Shop, found: Report, new_epoch: bool) {
    let epoch_before = epoch(shop).await;
    let head = shop.journal.head();
    let report = auditor(shop).repair(found, head, |_| {}).await.expect("the servers run");
    assert!(report.is_copy() && report.lag() == 0, "{report}");
    assert_eq!(report.compared, head.get());
    shop.check_copy().await;
    assert_eq!(epoch(shop).await != epoch_before, new_epoch);
    let stream = shop.jetstream.get_stream(&shop.stream.name).await.expect("a stream");
    let config = &stream.cached_info().config;
    let stream_epoch = config.metadata.get(EPOCH_METADATA).cloned();
    assert_eq!(stream_epoch, Some(epoch(shop).await.to_string()));
    assert!(config.deny_delete && config.deny_purge);
}

fn auditor(shop: &Shop) -> Auditor<testkit::Journal> {
    let (journal, pool) = (Arc::clone(&shop.journal), shop.pool.clone());
    Auditor::new(journal, pool, shop.client.clone(), shop.stream.clone())
}

async fn audit(shop: &Shop) -> Report {
    audit_of(&auditor(shop), shop).await
}

async fn audit_of(auditor: &Auditor<testkit::Journal>, shop: &Shop) -> Report {
    auditor.audit(shop.journal.head(), |_| {}).await.expect("the servers run")
}

async fn epoch(shop: &Shop) -> Uuid {
    nats::epoch::current(&shop.pool).await.expect("an epoch")
}

/// Appends so many events and publishes them as a relay does, to a stream that denies nothing.
async fn imitation(shop: &Shop, count: u64) -> stream::Stream {
    shop.append_many(count);
    let stream = empty(shop).await;
    for event in shop.journal.events() {
        let (headers, body) = message_of(&event);
        publish(shop, &event, headers, body).await;
    }
    stream
}

async fn empty(shop: &Shop) -> stream::Stream {
    let epoch = epoch(shop).await.to_string();
    let config = stream::Config {
        name: shop.stream.name.clone(),
        subjects: vec![shop.stream.all_subjects()],
        allow_direct: true,
        metadata: HashMap::from([(EPOCH_METADATA.to_owned(), epoch)]),
        ..stream::Config::default()
    };
    shop.jetstream.create_stream(config).await.expect("nobody else made it")
}

fn message_of(event: &RecordedEvent) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert(EVENT_ID_HEADER, event.event_id.to_string());
    headers.insert(AGGREGATE_ID_HEADER, event.aggregate_id.as_str());
    let mut body = Vec::new();
    write_public_event(event, &mut body);
    (headers, body)
}

async fn publish(shop: &Shop, event: &RecordedEvent, headers: HeaderMap, body: Vec<u8>) {
    let subject = shop.stream.subject(&event.aggregate_type, &event.event_type);
    let stored = shop.jetstream.publish_with_headers(subject, headers, body.into()).await;
    stored.expect("it is connected").await.expect("it is stored");
}
