//! What must not wear out: a journal that grows, readers beside a transaction that stands still,
//! commits that nobody has to be told of.

mod support;

use commands::bus::Bus;
use commands::journal::{Journal, JournalReader, Tail, WriterSettings};
use domain::product::Product;
use domain::{Cursor, EventSource, Position};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::Duration;
use support::{Database, append, product};
use testkit::{new_id, usd};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Events that are added to make the journal long. Enough that reading all of them, or a growing
/// part, could not be mistaken for reading a few.
const MANY_EVENTS: i64 = 100_000;

/// Far beyond what a step takes on a busy machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Streams that are written to for one measurement.
const STREAMS: u32 = 20;

/// Appends to fresh streams, and to them again, as commands do.
async fn append_some(journal: &Journal) {
    for _ in 0..STREAMS {
        let id = new_id::<Uuid>().to_string();
        let (first, first_id) = append(&id, 1, None);
        journal.append(first).await.expect("the journal is up");
        let (second, _) = append(&id, 2, Some(first_id));
        journal.append(second).await.expect("the journal is up");
    }
}

/// What a session read is added to the server's statistics some seconds later. With this the
/// writer's session adds it at the end of every append.
const COUNT_AT_ONCE: &str = "\
    create function count_at_once() returns trigger language plpgsql as $$ \
    begin perform pg_stat_force_next_flush(); return null; end $$; \
    create trigger count_at_once after insert on events execute function count_at_once()";

/// Rows of `events` that were read so far: `(by scanning the table, through an index)`. `loads` is
/// the only connection that loads go through.
async fn rows_read(database: &Database, loads: &PgPool) -> (i64, i64) {
    sqlx::query("select pg_stat_force_next_flush()").execute(loads).await.expect("it is up");
    sqlx::query_as(
        "select t.seq_tup_read::bigint, \
                (select sum(i.idx_tup_read)::bigint from pg_stat_user_indexes i where i.relname = 'events') \
           from pg_stat_user_tables t where t.relname = 'events'",
    )
    .fetch_one(&database.pool)
    .await
    .expect("the statistics are readable")
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
    sqlx::raw_sql(COUNT_AT_ONCE).execute(&database.pool).await.expect("the trigger is made");
    let loads = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(database.options.clone())
        .await
        .expect("it is up");
    // One connection each throughout: what it planned on the empty table it keeps.
    let settings = WriterSettings::default();
    let (journal, _) =
        Journal::start(loads.clone(), database.options.clone(), settings, support::world().now);
    let bus = Bus::new(journal.clone(), support::world(), support::fingerprints());
    let product_id = product(&bus, "GROWTH", usd(100), 1).await;
    let reads = async || {
        let before = rows_read(&database, &loads).await;
        append_some(&journal).await;
        bus.load::<Product>(&product_id).await.expect("it is there");
        let after = rows_read(&database, &loads).await;
        (after.0 - before.0, after.1 - before.1)
    };
    reads().await;
    let short = reads().await;
    assert!(short.1 >= i64::from(2 * STREAMS), "each append looks at least one row up: {short:?}");
    grow(&database).await;
    let long = reads().await;
    assert_eq!((short.0, long.0), (0, 0), "nothing scans the journal");
    assert!(long.1 * 10 <= short.1 * 11, "{} rows found by index, {} before", long.1, short.1);
}

#[tokio::test]
async fn a_transaction_that_stands_still_keeps_nobody_from_writing_or_reading() {
    let database = Database::new().await;
    let journal = database.journal();
    let mut idle = PgConnection::connect_with(&database.options).await.expect("it is up");
    let mut transaction = idle.begin().await.expect("it is up");
    // It has a snapshot, a row of its own and a number of its own: gaps for whoever counts those.
    sqlx::query("create table standing_still as select txid_current(), count(*) from events")
        .execute(&mut *transaction)
        .await
        .expect("it may create");
    let cancel = CancellationToken::new();
    let reader = JournalReader::new(database.pool.clone(), journal.head());
    let tail = Tail::start(reader, cancel.clone()).await.expect("the journal is readable");
    for position in (1..=5).map(Position::new) {
        let (one, _) = append(&new_id::<Uuid>().to_string(), 1, None);
        journal.append(one).await.expect("the journal is up");
        let mut head = tail.head();
        tokio::time::timeout(PATIENCE, head.wait_for(|head| *head >= position))
            .await
            .expect("the tail does not stall")
            .expect("the tail is alive");
        let events =
            tail.read_after(Cursor::at(position.previous()), 10).await.expect("it is readable");
        assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [position]);
    }
    transaction.rollback().await.expect("it is up");
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
         select tgname::text from pg_trigger where not tgisinternal \
            and tgrelid in ('events'::regclass, 'command_outcomes'::regclass)",
    )
    .fetch_all(&database.pool)
    .await
    .expect("the catalogue is readable");
    assert_eq!(told, Vec::<String>::new());
}
