//! The journal tells another history than before: a fail-over that lost commits, a restored backup.
//! Nothing goes on from what is gone.

mod support;

use commands::journal::{
    Append, Appended, Journal, JournalReader, Keyed, OtherHistory, ReadError, Tail,
};
use compose::testing::eventually;
use domain::{Cursor, EventSource, Filter, Position, RecordedEvent, SourceError};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;
use support::{Database, append, product};
use testkit::{new_id, usd};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn add(journal: &Journal, events: u64) {
    for _ in 0..events {
        let (one, _) = append(&new_id::<Uuid>().to_string(), 1, None);
        assert!(matches!(journal.append(one).await, Ok(Appended::Done { .. })));
    }
}

/// What a standby that was behind does not have when it takes over.
async fn lose_after(database: &Database, position: i64) {
    for lose in [
        "delete from events where position > $1",
        "delete from event_tags where position > $1",
        "delete from command_outcomes where last_position > $1",
    ] {
        sqlx::query(lose).bind(position).execute(&database.pool).await.expect("a statement");
    }
}

fn reader(database: &Database) -> (JournalReader, watch::Sender<Position>) {
    let (hint, hints) = watch::channel(Position::START);
    (JournalReader::new(database.pool.clone(), hints), hint)
}

async fn read(source: &impl EventSource, after: Cursor) -> Result<Vec<u64>, SourceError> {
    let events = source.read_after(after, 100).await?;
    Ok(events.iter().map(|event| event.position.get()).collect())
}

async fn found(tail: &Tail) -> OtherHistory {
    let mut other = tail.other_history();
    let waited = other.wait_for(|found| found.times > 0);
    tokio::time::timeout(Duration::from_secs(30), waited)
        .await
        .expect("it is found")
        .expect("the tail is alive")
        .clone()
}

#[tokio::test]
async fn a_reader_hears_that_the_event_behind_which_it_stands_is_gone() {
    let database = Database::new().await;
    let journal = database.journal();
    add(&journal, 5).await;
    let (reader, _hint) = reader(&database);
    let stored = reader.stored(Position::new(3)..=Position::new(5)).await.expect("readable");
    let cursor = |event: &Arc<RecordedEvent>| Cursor::behind(event);
    let cursors: Vec<Cursor> = stored.iter().map(cursor).collect();
    assert_eq!(read(&reader, cursors[0]).await.expect("it is there"), [4, 5]);

    lose_after(&database, 4).await;
    assert_eq!(read(&reader, cursors[0]).await.expect("it is there"), [4]);
    let gone = read(&reader, cursors[2]).await;
    assert!(matches!(gone, Err(SourceError::OtherHistory(found)) if found == cursors[2]));
    let unknown = read(&reader, Cursor::at(Position::new(5))).await;
    assert!(matches!(unknown, Err(SourceError::OtherHistory(_))), "the journal ends before");

    // The same positions, other events.
    add(&journal, 3).await;
    let other = read(&reader, cursors[2]).await;
    assert!(matches!(other, Err(SourceError::OtherHistory(found)) if found == cursors[2]));
    assert_eq!(
        read(&reader, Cursor::at(Position::new(5))).await.expect("nobody says which"),
        [6, 7]
    );
    assert_eq!(reader.end().await.expect("readable").position, Position::new(7));
}

#[tokio::test]
async fn the_tail_stops_believing_its_memory_and_says_what_is_lost() {
    for more in [0, 2, 7] {
        let database = Database::new().await;
        let journal = database.journal();
        add(&journal, 3).await;
        let (reader, _hint) = reader(&database);
        let cancel = CancellationToken::new();
        let tail = Tail::start(reader.clone(), cancel.clone()).await.expect("readable");
        add(&journal, 7).await;
        tail.head().wait_for(|head| head.get() == 10).await.expect("it follows");
        let believed = tail.end();
        let dead = reader.stored(Position::new(6)..=Position::new(10)).await.expect("readable");

        // In one transaction: a promoted standby is never seen half way.
        let mut failover = database.pool.begin().await.expect("it is up");
        sqlx::query("delete from events where position > 5")
            .execute(&mut *failover)
            .await
            .expect("a statement");
        failover.commit().await.expect("it is up");
        add(&journal, more).await;

        let found = found(&tail).await;
        assert_eq!((found.times, found.believed, found.common), (1, believed, Position::new(5)));
        assert_eq!((found.lost_count, found.lost), (5, dead.clone()));
        let end = reader.end().await.expect("readable");
        tail.head().wait_for(|head| *head == end.position).await.expect("it goes on");
        assert_eq!(tail.end(), end);
        for event in &dead {
            let read = read(&tail, Cursor::behind(event)).await;
            assert!(matches!(read, Err(SourceError::OtherHistory(_))), "{}", event.position);
        }
        add(&journal, 1).await;
        tail.head().wait_for(|head| *head == end.position.next()).await.expect("it goes on");
        assert_eq!(read(&tail, end).await.expect("it is there"), [end.position.next().get()]);
        cancel.cancel();
    }
}

#[tokio::test]
async fn a_writer_whose_journal_lost_events_appends_where_it_ends_now() {
    let database = Database::new().await;
    let bus = database.bus();
    product(&bus, "KEPT", usd(1), 1).await;
    let head = bus.journal().head();
    let before = *head.borrow();
    product(&bus, "LOST", usd(1), 1).await;
    lose_after(&database, before.bigint()).await;
    // What the bus remembers of the lost product is refused by the database, and read again.
    product(&bus, "LOST", usd(2), 1).await;
    assert_eq!(*head.borrow(), before.plus(5), "and it says so");
    bus.forget_all();
    product(&bus, "NEXT", usd(1), 1).await;
    database.assert_gap_free().await;
}

#[tokio::test]
async fn keys_that_were_answered_for_and_lost_are_known_once() {
    let database = Database::new().await;
    let bus = database.bus();
    let keyed = async |sku: &str| {
        use commands::bus::{Plan, RequestKey};
        use domain::stock::{StockCommand, StockItem};
        let key = RequestKey { key: new_id(), fingerprint: [7; 32] };
        let open = StockCommand::Open { product_id: new_id() };
        let plan = Plan::new(&support::context())
            .step::<StockItem>(&testkit::sku(sku), open)
            .keyed(Some(key));
        (key.key, bus.execute(plan).await.expect("it is new").positions.expect("it did something"))
    };
    let (_kept, lost) = (keyed("A").await, keyed("B").await);
    lose_after(&database, 1).await;
    let told = bus.journal().acknowledged_beyond(Position::new(1));
    assert_eq!(told.iter().map(|told| (told.key, told.positions)).collect::<Vec<_>>(), [lost]);
    assert_eq!(bus.journal().acknowledged_beyond(Position::new(1)), []);
}

#[tokio::test]
async fn an_export_under_which_the_journal_changes_ends_with_an_error() {
    let database = Database::new().await;
    let journal = database.journal();
    let many = async |events: usize| {
        let mut all = Append::default();
        for _ in 0..events {
            let (one, _) = append(&new_id::<Uuid>().to_string(), 1, None);
            all.expectations.extend(one.expectations);
            all.events.extend(one.events);
        }
        assert!(matches!(journal.append(all).await, Ok(Appended::Done { .. })));
    };
    for _ in 0..5 {
        many(500).await;
    }
    let (reader, _hint) = reader(&database);
    let mut export = Box::pin(reader.export(Position::START, Filter::default()));
    let first = export.next().await.expect("there are many").expect("readable");
    assert_eq!(first.position, Position::FIRST);
    lose_after(&database, 900).await;
    for _ in 0..4 {
        many(500).await;
    }
    let rest: Result<Vec<_>, _> = export.try_collect().await;
    assert!(matches!(rest, Err(ReadError::OtherHistory)), "{:?}", rest.map(|rest| rest.len()));
}

#[tokio::test]
async fn a_hint_beyond_the_journal_wakes_once() {
    let database = Database::new().await;
    let journal = database.journal();
    add(&journal, 1).await;
    let (reader, hint) = reader(&database);
    // Another shop's, or of a database that was restored since.
    hint.send_replace(Position::new(1_000_000));
    let waits = async {
        let mut waits = 0;
        loop {
            reader.wait_after(Position::new(1)).await;
            waits += 1;
            assert!(waits < 10, "it spins");
        }
    };
    // Five of its intervals.
    let _ = tokio::time::timeout(Duration::from_millis(500), waits).await;

    let waking = tokio::spawn(async move {
        reader.wait_after(Position::new(1)).await;
        reader
    });
    hint.send_replace(Position::new(2));
    let reader = waking.await.expect("no panic");
    eventually("another one wakes at once", async || {
        let (began, told) = (tokio::time::Instant::now(), hint.borrow().next());
        let (woken, ()) = tokio::join!(
            async {
                reader.wait_after(Position::new(1)).await;
                began.elapsed()
            },
            async {
                tokio::task::yield_now().await;
                hint.send_replace(told);
            }
        );
        woken < Duration::from_millis(50)
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_outcome_was_lost_is_free_again() {
    let database = Database::new().await;
    let journal = database.journal();
    let key = new_id();
    let keyed = || {
        let (mut one, _) = append("a", 1, None);
        let outcome = Some("{}".to_owned());
        one.keyed = Some(Keyed { key, fingerprint: [1; 32], outcome });
        one
    };
    assert!(matches!(journal.append(keyed()).await, Ok(Appended::Done { .. })));
    assert!(matches!(journal.append(keyed()).await, Ok(Appended::Replay { .. })));
    lose_after(&database, 0).await;
    assert!(matches!(journal.append(keyed()).await, Ok(Appended::Done { .. })));
}
