//! What must not wear out: a journal that grows, readers beside a transaction that stands still,
//! commits that nobody has to be told of.

mod support;

use commands::bus::Bus;
use commands::journal::{Journal, JournalReader, Tail};
use domain::EventSource;
use domain::product::Product;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use support::{Database, append, new_id, product, usd};
use tokio_util::sync::CancellationToken;

/// Events that are added to make the journal long. Enough that reading all of them, or a growing
/// part, could not be mistaken for reading a few.
const MANY_EVENTS: i64 = 100_000;

/// Far beyond what a step takes on a busy machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at the server's statistics, which it gathers now and then.
const LOOK: Duration = Duration::from_millis(50);

/// Appends to fresh streams, and to them again, as commands do.
async fn append_some(journal: &Journal) {
    for _ in 0..20 {
        let id = new_id().to_string();
        let (first, first_id) = append(&id, 1, None);
        journal.append(first).await.expect("the journal is up");
        let (second, _) = append(&id, 2, Some(first_id));
        journal.append(second).await.expect("the journal is up");
    }
}

/// Rows of `events` that were read so far: `(by scanning the table, through an index)`.
async fn rows_read(database: &Database) -> (i64, i64) {
    sqlx::query_as(
        "select t.seq_tup_read::bigint, \
                (select sum(i.idx_tup_read)::bigint from pg_stat_user_indexes i where i.relname = 'events') \
           from pg_stat_user_tables t where t.relname = 'events'",
    )
    .fetch_one(&database.pool)
    .await
    .expect("the statistics are readable")
}

/// What `work` reads. The server gathers statistics with a delay, so it waits until they stand still.
async fn reads_of(database: &Database, work: impl Future<Output = ()>) -> (i64, i64) {
    let before = settled(database).await;
    work.await;
    let after = settled(database).await;
    (after.0 - before.0, after.1 - before.1)
}

async fn settled(database: &Database) -> (i64, i64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut last = rows_read(database).await;
    let mut unchanged = 0;
    // A backend reports once a second at the latest.
    while unchanged < 24 {
        assert!(tokio::time::Instant::now() < deadline, "the statistics never stand still");
        tokio::time::sleep(LOOK).await;
        let now = rows_read(database).await;
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
    }
    last
}

async fn grow(database: &Database) {
    sqlx::query(
        "insert into events (position, aggregate_type, aggregate_id, sequence, event_type, \
                             event_version, payload, metadata, event_id, recorded_at) \
         select (select max(position) from events) + n, 'test', gen_random_uuid()::text, 1, \
                'Tested', '1', '{}', '{}', gen_random_uuid(), now() \
           from generate_series(1, $1) n",
    )
    .bind(MANY_EVENTS)
    .execute(&database.pool)
    .await
    .expect("the table takes them");
}

#[tokio::test]
async fn appending_and_loading_read_no_more_when_the_journal_is_long() {
    let database = Database::new().await;
    // One connection throughout: what it planned on the empty table it keeps.
    let journal = database.journal();
    let bus = Bus::new(database.journal(), support::world());
    let product_id = product(&bus, "GROWTH", usd(100), 1).await.to_string();
    let work = async || {
        append_some(&journal).await;
        bus.load::<Product>(&product_id).await.expect("it is there");
    };
    work().await;
    let short = reads_of(&database, work()).await;
    grow(&database).await;
    let long = reads_of(&database, work()).await;
    assert_eq!((short.0, long.0), (0, 0), "nothing scans the journal");
    assert!(long.1 * 10 <= short.1 * 11, "{} rows found by index, {} before", long.1, short.1);
}

#[tokio::test]
async fn a_transaction_that_stands_still_keeps_nobody_from_writing_or_reading() {
    let database = Database::new().await;
    let journal = database.journal();
    let mut idle = PgConnection::connect_with(&database.options).await.expect("it is up");
    let mut standing = idle.begin().await.expect("it is up");
    // It has a snapshot, a row of its own and a number of its own: gaps for whoever counts those.
    sqlx::query("create table standing_still as select txid_current(), count(*) from events")
        .execute(&mut *standing)
        .await
        .expect("it may create");
    let cancel = CancellationToken::new();
    let reader = JournalReader::new(database.pool.clone(), journal.head());
    let tail = Tail::start(reader, cancel.clone()).await.expect("the journal is readable");
    for position in 1..=5 {
        let (one, _) = append(&new_id().to_string(), 1, None);
        journal.append(one).await.expect("the journal is up");
        let mut head = tail.head();
        tokio::time::timeout(PATIENCE, head.wait_for(|head| *head >= position))
            .await
            .expect("the tail does not stall")
            .expect("the tail is alive");
        let events = tail.read_after(position - 1, 10).await.expect("it is readable");
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [position]);
    }
    standing.rollback().await.expect("it is up");
    cancel.cancel();
}

#[tokio::test]
async fn no_commit_tells_anybody_through_postgresql() {
    // NOTIFY takes a lock of the whole cluster until the commit: commits would queue up behind it.
    let database = Database::new().await;
    let told: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
          where n.nspname = 'public' and p.prosrc ~* 'notify' \
         union all \
         select tgname::text from pg_trigger where not tgisinternal",
    )
    .fetch_all(&database.pool)
    .await
    .expect("the catalogue is readable");
    assert_eq!(told, Vec::<String>::new());
}
