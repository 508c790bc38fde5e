//! A rebuild gives the rows that are live already, and nobody notices the swap.

use crate::batches::{happen, steps};
use crate::support::{PATIENCE, Running, Source, all_rows, apply_all, options};
use crate::tally::{self, Mishap, Tally};
use compose::testing::eventually;
use domain::Position;
use projections::{
    Checkpoints, Options, Progress, Projection, RebuildError, RebuildOptions, Rebuilt, Stage,
    Status, list_projections, rebuild,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::{Journal, pool};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Random histories; each is applied live and rebuilt by every projection.
const HISTORIES: usize = 3;

/// Rebuilds under a worker that never rests; each swap falls on another moment of its batches.
const REBUILDS: usize = 5;

/// Far more than the tenth of a second that readers may queue behind a swap, for the sake of a busy
/// machine; far less than a reader would wait that queues behind a lock which is waited for.
const READERS_PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn rebuild_options(pool: &PgPool, source: &Source, batch: usize) -> RebuildOptions {
    let connect = pool.connect_options().as_ref().clone();
    source.store_in(&connect);
    RebuildOptions { connect, head: source.journal.watch_head(), batch_events: batch }
}

/// Rebuilds to the end, with small batches; again when the server has not yet noticed that the
/// one before was cut off.
pub(crate) async fn rebuild_now(
    pool: &PgPool,
    projection: &'static dyn Projection,
    source: &Arc<Source>,
) -> Rebuilt {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = rebuild_options(pool, source, 50);
        match rebuild(projection, options, source.clone(), |_| ()).await {
            Err(RebuildError::AlreadyRunning { .. }) if Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            outcome => return outcome.expect("nothing is in its way"),
        }
    }
}

/// Everything about the read models' tables that a swap could lose, by schema.
pub(crate) async fn shape(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select format('%s %s %s', c.relnamespace::regnamespace, c.relname, d) from pg_class c \
         cross join lateral ( \
           select format('with %s to %s', c.reloptions, c.relacl) as d \
           union all select format('%s %s %s %s %s', a.attnum, a.attname, a.attnotnull, \
             format_type(a.atttypid, a.atttypmod), pg_get_expr(x.adbin, x.adrelid)) \
             from pg_attribute a left join pg_attrdef x on (adrelid, adnum) = (attrelid, attnum) \
             where a.attrelid = c.oid and a.attnum > 0 \
           union all select pg_get_indexdef(indexrelid) from pg_index where indrelid = c.oid \
           union all select conname || pg_get_constraintdef(oid) from pg_constraint \
             where conrelid = c.oid) d \
         where c.relkind = 'r' and c.relnamespace::regnamespace::text !~ '^(pg_|information_)' \
         order by 1",
    )
    .fetch_all(pool)
    .await
    .expect("a query")
}

/// Which table a name means now.
async fn table_oid(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar("select $1::regclass::oid::bigint")
        .bind(table)
        .fetch_one(pool)
        .await
        .expect("the table is there")
}

async fn execute(pool: &PgPool, statement: &str) {
    sqlx::query(statement).execute(pool).await.expect("it is valid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilt_rows_are_those_that_were_live() {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..HISTORIES {
        let drawn = (1..200_usize, 1..200_usize, steps()).new_tree(&mut runner);
        let (live_batch, rebuild_batch, steps) = drawn.expect("nothing is filtered").current();
        let history = Journal::default();
        steps.iter().for_each(|step| happen(&history, step));
        let pool = pool().await;
        apply_all(&pool, &history, live_batch).await;
        execute(&pool, "grant select on orders to public").await;
        let (rows, shapes) = (all_rows(&pool).await, shape(&pool).await);

        let source = Source::of(&history);
        for projection in projections::ALL {
            let table = projection.tables()[0];
            let before = table_oid(&pool, table).await;
            // Whatever has gone wrong with the live rows is mended.
            for table in projection.tables() {
                execute(&pool, &format!("delete from {table}")).await;
            }
            let options = rebuild_options(&pool, &source, rebuild_batch);
            let rebuilt = rebuild(*projection, options, source.clone(), |_| ()).await;
            assert_eq!(rebuilt.expect("nothing is in its way").position, history.head());
            assert_ne!(table_oid(&pool, table).await, before, "{table} was swapped");
        }
        assert_eq!(all_rows(&pool).await, rows, "{live_batch} {rebuild_batch}: {steps:?}");
        assert_eq!(shape(&pool).await, shapes);
        pool.close().await;
    }
}

#[tokio::test]
async fn every_table_of_a_read_model_is_of_one_projection() {
    let pool = pool().await;
    let mut owned: Vec<_> = projections::ALL
        .iter()
        .flat_map(|projection| projection.tables().iter().copied())
        .collect();
    owned.sort();
    let all = owned.len();
    owned.dedup();
    assert_eq!(owned.len(), all, "each is of one: {owned:?}");
    // Rows that have a version of their aggregate and a position are those of a read model. `projections` has the
    // checkpoints, and `stock_items` is there for the build before.
    let made: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns \
         where table_schema = 'public' and column_name in ('version', 'position') \
         and table_name not in ('projections', 'stock_items') \
         group by table_name having count(*) = 2",
    )
    .fetch_all(&pool)
    .await
    .expect("it is migrated");
    assert!(made.len() > 5, "{made:?}");
    for table in made {
        assert!(owned.contains(&&*table), "{table} is of no projection's `tables`");
    }
}

/// Reads rows and checkpoint again and again until told to stop: they have to agree, at a position
/// that never goes back. Gives the longest wait for an answer.
fn start_reader(
    pool: &PgPool,
    expected: Vec<BTreeMap<String, i64>>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Duration> {
    let pool = pool.clone();
    tokio::spawn(async move {
        let (mut last, mut longest) = (Position::START, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let (position, counts) = tally::snapshot(&pool).await;
            longest = longest.max(asked.elapsed());
            let index = usize::try_from(position.get()).expect("histories are short");
            assert_eq!(counts, expected[index], "at {position}");
            assert!(position >= last, "{position} after {last}");
            last = position;
        }
        longest
    })
}

/// What the table has to hold, by position.
fn expected_everywhere(history: &Journal) -> Vec<BTreeMap<String, i64>> {
    let mut counts = vec![BTreeMap::new()];
    for event in history.after(Position::START) {
        let mut next = counts[counts.len() - 1].clone();
        if event.aggregate_type == tally::COUNTED {
            *next.entry(event.aggregate_id.clone()).or_default() += 1;
        }
        counts.push(next);
    }
    counts
}

/// Where every event of the source is in the live rows.
async fn at_the_end(pool: &PgPool, head: u64) {
    eventually("the live rows are at the end", || async {
        tally::snapshot(pool).await.0.get() == head
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_the_worker_go_on_and_no_event_is_lost() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = tally::history(2_000);
    let source = Arc::new(Source::default());
    source.journal.append(history.after(Position::START).take(500));
    let live = Tally::new().leak();
    let running = Running::start(options(&pool, live), source.clone());
    at_the_end(&pool, 500).await;

    let stop = Arc::new(AtomicBool::new(false));
    let expected = expected_everywhere(&history);
    let readers: Vec<_> =
        (0..2).map(|_| start_reader(&pool, expected.clone(), stop.clone())).collect();
    // Three times; each time events come while it fills, and right before it swaps, so that the
    // live rows are ahead of the new ones.
    for round in 0..3 {
        let mut come = {
            let (source, events) =
                (source.clone(), history.after(Position::new(500 + round * 500)));
            let mut events: Vec<_> = events.take(500).collect();
            move |count: usize| source.journal.append(events.drain(..count.min(events.len())))
        };
        let rebuilt =
            rebuild(live[0], rebuild_options(&pool, &source, 50), source.clone(), |progress| {
                match progress.stage {
                    Stage::Filling => come(20),
                    Stage::Tidying | Stage::Swapping { .. } => come(100),
                }
            })
            .await
            .expect("nothing is in its way");
        assert!(rebuilt.position.get() >= 500 + round * 500, "{rebuilt:?}");
        come(500);
        at_the_end(&pool, 1_000 + round * 500).await;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let longest = reader.await.expect("every answer was right");
        assert!(longest < READERS_PATIENCE, "{longest:?}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_never_takes_back_what_was_seen() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = tally::history(50_000);
    let source = Arc::new(Source::default());
    let live = Tally::new().leak();
    let stop = Arc::new(AtomicBool::new(false));
    let checkpoints = CancellationToken::new();
    let connect = pool.connect_options().as_ref().clone();
    let seen = Checkpoints::start(connect, checkpoints.clone());
    let live_options = Options { checkpoints: Some(seen.clone()), ..options(&pool, live) };
    let running = Running::start(live_options, source.clone());
    let reader = start_reader(&pool, expected_everywhere(&history), stop.clone());
    // One by one, so that a commit of the worker falls on every moment of a swap.
    let coming = tokio::spawn({
        let (source, events) = (source.clone(), history.after(Position::START).collect::<Vec<_>>());
        async move {
            for event in events {
                let position = event.position;
                source.journal.append([event]);
                seen.wait_for(tally::NAME, position, PATIENCE).await.expect("the worker goes on");
            }
        }
    });
    for _ in 0..REBUILDS {
        rebuild_now(&pool, live[0], &source).await;
    }
    assert!(!coming.is_finished(), "the last rebuild met no commit");
    coming.abort();
    stop.store(true, Ordering::Relaxed);
    reader.await.expect("every answer was right");
    running.stop().await;
    checkpoints.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_query_delays_the_swap_and_no_other_reader() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = tally::history(300);
    let source = Source::of(&history);
    let live = Tally::new().leak();
    let running = Running::start(options(&pool, live), source.clone());
    at_the_end(&pool, history.head().get()).await;
    running.stop().await;

    let mut long_query = pool.begin().await.expect("a connection");
    sqlx::query("select from tally").execute(&mut *long_query).await.expect("a query");
    let stop = Arc::new(AtomicBool::new(false));
    let reader = start_reader(&pool, expected_everywhere(&history), stop.clone());
    let (attempts, mut attempted) = watch::channel(0);
    let rebuilding = tokio::spawn({
        let (options, source) = (rebuild_options(&pool, &source, 50), source.clone());
        let projection = live[0];
        async move {
            rebuild(projection, options, source, |progress| {
                if let Stage::Swapping { attempt } = progress.stage {
                    attempts.send_replace(attempt);
                }
            })
            .await
        }
    });
    attempted.wait_for(|attempt| *attempt >= 4).await.expect("it tries again");

    // A second rebuild says that there is a first one.
    let second =
        rebuild(live[0], rebuild_options(&pool, &source, 50), source.clone(), |_| ()).await;
    let second = second.expect_err("one at a time");
    assert!(matches!(second, RebuildError::AlreadyRunning { projection: tally::NAME }), "{second}");

    long_query.rollback().await.expect("a connection");
    let rebuilt = rebuilding.await.expect("no panic").expect("the tables are free");
    assert_eq!(rebuilt.position, history.head());
    stop.store(true, Ordering::Relaxed);
    let longest = reader.await.expect("every answer was right");
    assert!(longest < READERS_PATIENCE, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_projection_lives_again() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = tally::history(200);
    let source = Source::of(&history);
    let broken = Tally::new().with_mishap(101, Mishap::Panic, 40).leak();
    let running = Running::start(options(&pool, broken), source.clone());
    eventually("it is parked", || async {
        let statuses = list_projections(&pool).await.expect("a query");
        statuses.iter().any(|found| found.status == Status::Parked)
    })
    .await;
    running.stop().await;

    // The same code fails again, says where, and changes nothing.
    let failed = rebuild(broken[0], rebuild_options(&pool, &source, 50), source.clone(), |_| ());
    let failed = failed.await.expect_err("the code is broken").to_string();
    assert!(failed.contains("event 101") && failed.contains("panicked"), "{failed}");
    assert_eq!(
        tally::snapshot(&pool).await,
        (Position::new(100), tally::expected(&history, Position::new(100)))
    );

    // Working code of another version brings it back, and its worker goes on.
    let mut mended = Tally::new();
    mended.version = 2;
    let mended = mended.leak();
    let rebuilt = rebuild_now(&pool, mended[0], &source).await;
    assert_eq!(rebuilt.position, history.head());
    let found = list_projections(&pool).await.expect("a query").remove(0);
    assert_eq!(
        (found.status, found.version, found.position),
        (Status::Running, 2, Position::new(200))
    );
    assert_eq!(found.parked_reason, None);
    tally::count(&history, 1);
    source.journal.append(history.after(Position::new(200)));
    let running = Running::start(options(&pool, mended), source.clone());
    at_the_end(&pool, 201).await;
    assert_eq!(tally::snapshot(&pool).await.1, tally::expected(&history, Position::new(201)));
    running.stop().await;
}

#[tokio::test]
async fn progress_tells_how_far_it_is_and_how_long_it_takes() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let source = Source::of(&tally::history(200));
    let mut seen: Vec<Progress> = Vec::new();
    let options = rebuild_options(&pool, &source, 60);
    rebuild(Tally::new().leak()[0], options, source.clone(), |progress| seen.push(progress))
        .await
        .expect("nothing is in its way");
    let stages: Vec<(Stage, Position)> =
        seen.iter().map(|seen| (seen.stage, seen.position)).collect();
    let expected = [60, 120, 180, 200].map(|position| (Stage::Filling, Position::new(position)));
    assert_eq!(stages[..4], expected);
    assert_eq!(
        stages[4..],
        [Stage::Tidying, Stage::Swapping { attempt: 1 }].map(|stage| (stage, Position::new(200)))
    );
    for progress in seen {
        assert!(progress.head.get() == 200 && progress.events_per_second > 0.0, "{progress:?}");
        let done = progress.position == progress.head;
        assert_eq!(progress.remaining.expect("a rate").is_zero(), done, "{progress:?}");
    }
}
