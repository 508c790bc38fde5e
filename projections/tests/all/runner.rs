use crate::support::{PATIENCE, Running, Source, options, process, record_foreign};
use crate::tally::{self, Mishap, Tally};
use crate::trail::{self, Trail};
use compose::testing::eventually;
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use projections::{Checkpoints, Options, Projection, list_projections};
use sqlx::{Connection, PgConnection, PgPool};
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::{Journal, pool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

async fn prepared() -> PgPool {
    let pool = pool().await;
    tally::create_table(&pool).await;
    pool
}

fn small_batches(pool: &PgPool, projections: &'static [&'static dyn Projection]) -> Options {
    Options { batch_events: 7, ..options(pool, projections) }
}

/// Rows and checkpoint have to agree in every snapshot, until the checkpoint is at the end.
async fn watch_to_the_end(pool: &PgPool, history: &Journal) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (position, counts) = tally::snapshot(pool).await;
        assert_eq!(counts, tally::expected(history, position), "at {position}");
        if position == history.head() {
            return;
        }
        assert!(Instant::now() < deadline, "stuck at {position}");
        tokio::task::yield_now().await;
    }
}

async fn sessions(pool: &PgPool) -> Vec<i32> {
    sessions_of(pool, "gomall projection tally").await
}

async fn sessions_of(pool: &PgPool, application: &str) -> Vec<i32> {
    sqlx::query_scalar(
        "select pid from pg_stat_activity where datname = current_database() \
         and application_name = $1",
    )
    .bind(application)
    .fetch_all(pool)
    .await
    .expect("a query")
}

async fn leaders(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar(
        "select pid from pg_locks where locktype = 'advisory' and granted and objsubid = 2 \
         and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_all(pool)
    .await
    .expect("a query")
}

/// A backend that does nothing as long as this lives.
struct Frozen(i32);

impl Frozen {
    fn new(pid: i32) -> Self {
        signal(pid, "-STOP");
        Self(pid)
    }
}

/// Also when a test fails: a frozen backend would keep the server from stopping.
impl Drop for Frozen {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

fn signal(pid: i32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.expect("there is such a command").success());
}

async fn terminate(pool: &PgPool, pid: i32) {
    sqlx::query("select pg_terminate_backend($1)")
        .bind(pid)
        .execute(pool)
        .await
        .expect("a superuser may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_projection_apply_every_event_once() {
    let pool = prepared().await;
    let history = tally::history(3_000);
    let source = Source::of(&history);
    // Nothing keeps them apart but the compare-and-set. Of the smaller batches some hold nothing that
    // is counted, and are passed over without it.
    let race = Options { elections: None, ..small_batches(&pool, Tally::new().leak()) };
    let workers = [1, 2, 7].map(|batch_events| {
        Running::start(Options { batch_events, ..race.clone() }, source.clone())
    });
    watch_to_the_end(&pool, &history).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_rows_and_commit_changes_nothing() {
    let pool = prepared().await;
    let history = tally::history(300);
    let crashing = [1, 7, 8, 50, 151, 300 - 1]
        .into_iter()
        .fold(Tally::new(), |tally, at| tally.with_mishap(at, Mishap::ConnectionLost, 2));
    let running = Running::start(small_batches(&pool, crashing.leak()), Source::of(&history));
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
    let statuses = list_projections(&pool).await.expect("a query");
    assert_eq!(statuses[0].status, projections::Status::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_any_moment_change_nothing() {
    let pool = prepared().await;
    let history = tally::history(4_000);
    let running = Running::start(small_batches(&pool, Tally::new().leak()), Source::of(&history));
    let cut = CancellationToken::new();
    let cutter = tokio::spawn({
        let (pool, cut) = (pool.clone(), cut.clone());
        async move {
            let mut cuts = 0;
            while !cut.is_cancelled() && cuts < 10 {
                for pid in sessions(&pool).await {
                    terminate(&pool, pid).await;
                    cuts += 1;
                }
                tokio::task::yield_now().await;
            }
            cuts
        }
    });
    watch_to_the_end(&pool, &history).await;
    cut.cancel();
    assert!(cutter.await.expect("no panic") > 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_works_and_another_takes_over_when_it_dies() {
    let pool = prepared().await;
    let history = tally::history(10);
    let source = Source::of(&history);
    let elected = small_batches(&pool, Tally::new().leak());
    source.store_in(&elected.connect);
    let first = tokio::spawn(process(elected.clone(), source.clone(), CancellationToken::new()));
    watch_to_the_end(&pool, &history).await;
    let second = Running::start(elected, source.clone());
    eventually("both stand for election", || async {
        sessions_of(&pool, "gomall elections").await.len() == 2
    })
    .await;
    assert_eq!(sessions(&pool).await.len(), 1, "and only one is connected to work");
    let before = leaders(&pool).await;
    assert_eq!(before.len(), 1);

    // Dies without a word: its tasks and connections are simply gone.
    first.abort();
    let died_at = Instant::now();
    eventually("another one leads", || async {
        let after = leaders(&pool).await;
        after.len() == 1 && after != before
    })
    .await;
    tally::count(&history, 1);
    source.journal.append(history.after(Position::new(10)));
    watch_to_the_end(&pool, &history).await;
    let took = died_at.elapsed();
    // About a second, plus what a busy machine adds.
    assert!(took.as_secs() < 10, "{took:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_on_without_an_election_when_the_lock_is_kept_for_a_frozen_session() {
    let pool = prepared().await;
    let history = tally::history(10);
    let source = Source::of(&history);
    let cancel = CancellationToken::new();
    let known = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let elected = Options {
        checkpoints: Some(known),
        stands_still: Duration::from_secs(2),
        ..small_batches(&pool, Tally::new().leak())
    };
    source.store_in(&elected.connect);
    let first = tokio::spawn(process(elected.clone(), source.clone(), CancellationToken::new()));
    watch_to_the_end(&pool, &history).await;
    let frozen = leaders(&pool).await[0];
    let second = Running::start(elected, source.clone());
    let freezing = Frozen::new(frozen);
    first.abort();
    tally::count(&history, 1);
    source.journal.append(history.after(Position::new(10)));
    // Whoever looks at the database sees how far the journal is.
    source.read_after(Cursor::at(Position::new(10)), 1).await.expect("it is served");
    watch_to_the_end(&pool, &history).await;
    assert_eq!(leaders(&pool).await, [frozen], "nobody else was elected");
    drop(freezing);
    tally::count(&history, 1);
    source.journal.append(history.after(Position::new(11)));
    watch_to_the_end(&pool, &history).await;
    second.stop().await;
    cancel.cancel();
}

#[tokio::test]
async fn a_stopped_runner_leaves_no_session_and_no_lock() {
    let pool = prepared().await;
    let history = tally::history(20);
    let running = Running::start(small_batches(&pool, Tally::new().leak()), Source::of(&history));
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
    eventually("the sessions are gone", || async {
        sessions(&pool).await.is_empty() && sessions_of(&pool, "gomall elections").await.is_empty()
    })
    .await;
    assert!(leaders(&pool).await.is_empty());
}

#[tokio::test]
async fn events_of_no_interest_move_the_checkpoint_too() {
    let pool = prepared().await;
    let history = Journal::default();
    let source = Source::of(&history);
    let running = Running::start(small_batches(&pool, Tally::new().leak()), source.clone());
    for _ in 0..20 {
        record_foreign(&history);
    }
    source.journal.append(history.after(Position::START));
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
}

#[tokio::test]
async fn events_of_no_interest_cost_a_commit_each_interval_and_not_each() {
    let pool = prepared().await;
    sqlx::raw_sql(
        "create table moves (position bigint); \
         create function note_move() returns trigger language plpgsql as \
         $$ begin insert into moves values (new.position); return new; end $$; \
         create trigger moved after update on projections for each row execute function note_move()",
    )
    .execute(&pool)
    .await
    .expect("the names are free");
    let cancel = CancellationToken::new();
    let known = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let history = Journal::default();
    let source = Source::of(&history);
    let options =
        Options { checkpoints: Some(known.clone()), ..small_batches(&pool, Tally::new().leak()) };
    let running = Running::start(options, source.clone());
    let began = Instant::now();
    for _ in 0..100 {
        let position = record_foreign(&history);
        source.journal.append(history.after(position.previous()));
        // Whoever asks in the same process need not wait for the row.
        known.wait_for(tally::NAME, position, PATIENCE).await.expect("it is passed over");
    }
    watch_to_the_end(&pool, &history).await;
    let most = began.elapsed().as_millis() / 50 + 1;
    let moves: i64 =
        sqlx::query_scalar("select count(*) from moves").fetch_one(&pool).await.expect("a query");
    assert!(u128::from(moves.unsigned_abs()) <= most, "{moves} moves, at most {most} are due");
    running.stop().await;
    cancel.cancel();
}

/// Leaves event 6 out until it was asked for it three times.
struct Gapped {
    events: Arc<Source>,
    asked: AtomicUsize,
}

impl EventSource for Gapped {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let mut events = self.events.read_after(after, limit).await?;
        if events.iter().any(|event| event.position.get() == 6)
            && self.asked.fetch_add(1, Ordering::Relaxed) < 3
        {
            events.retain(|event| event.position.get() != 6);
        }
        Ok(events)
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        self.events.stored(positions).await
    }

    async fn wait_after(&self, after: Position) {
        self.events.wait_after(after).await;
    }
}

#[tokio::test]
async fn a_source_that_skips_an_event_is_not_believed() {
    let pool = prepared().await;
    let history = Journal::default();
    for stream in 0..10 {
        tally::count(&history, stream);
    }
    let source = Arc::new(Gapped { events: Source::of(&history), asked: AtomicUsize::new(0) });
    let cancel = CancellationToken::new();
    let options = small_batches(&pool, Tally::new().leak());
    source.events.store_in(&options.connect);
    let running = tokio::spawn(process(options, source.clone(), cancel.clone()));
    watch_to_the_end(&pool, &history).await;
    assert!(source.asked.load(Ordering::Relaxed) > 3);
    cancel.cancel();
    running.await.expect("no panic");
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_tried_in_parts() {
    let pool = prepared().await;
    let history = tally::history(60);
    let slow = Tally::new().slow(0.04).leak();
    let patience = Duration::from_millis(400);
    // All at once would take two seconds, for ever again.
    let running = Running::start(
        Options { batch_patience: patience, ..options(&pool, slow) },
        Source::of(&history),
    );
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
}

#[tokio::test]
async fn rows_of_a_newer_build_are_left_alone() {
    let pool = prepared().await;
    let history = Journal::default();
    tally::count(&history, 1);
    sqlx::query("insert into projections (name, version) values ('tally', 2)")
        .execute(&pool)
        .await
        .expect("the row is new");
    // The neighbour shows that the runner has been at work.
    let both: &'static [&'static dyn Projection] =
        Box::leak(vec![Tally::new().leak()[0], &projections::carts::READ_MODEL].into());
    let running = Running::start(options(&pool, both), Source::of(&history));
    let position = |name: &'static str| {
        let pool = &pool;
        async move {
            let statuses = list_projections(pool).await.expect("a query");
            statuses.into_iter().find(|status| status.name == name).map(|found| found.position)
        }
    };
    eventually("the neighbour is at the end", || async {
        position("carts").await == Some(Position::FIRST)
    })
    .await;
    assert_eq!(position(tally::NAME).await, Some(Position::START));
    // A build that keeps this version goes on as soon as the rows are its own again.
    sqlx::query("update projections set version = 1 where name = 'tally'")
        .execute(&pool)
        .await
        .expect("the row is there");
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
}

#[tokio::test]
async fn rows_of_an_older_build_are_built_anew_by_whoever_is_elected() {
    let pool = prepared().await;
    let history = tally::history(20);
    let running = Running::start(options(&pool, Tally::new().leak()), Source::of(&history));
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
    // What that build made of the events is not what this one does.
    sqlx::query("update tally set counted = 77").execute(&pool).await.expect("they are there");

    let mut newer = Tally::new();
    newer.version = 2;
    let source = Source::of(&history);
    let running = Running::start(options(&pool, newer.leak()), source.clone());
    eventually("the rows are this build's", || async {
        list_projections(&pool).await.expect("a query")[0].version == 2
    })
    .await;
    let end = history.head();
    assert_eq!(tally::snapshot(&pool).await, (end, tally::expected(&history, end)));
    // And its worker goes on with them.
    tally::count(&history, 1);
    source.journal.append(history.after(end));
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
    assert_eq!(tally::snapshot(&pool).await.1, tally::expected(&history, history.head()));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_parks_nothing() {
    // The table is not there yet, as while a migration runs.
    let pool = pool().await;
    let history = Journal::default();
    tally::count(&history, 1);
    let running = Running::start(options(&pool, Tally::new().leak()), Source::of(&history));
    eventually("it has registered", || async {
        list_projections(&pool).await.expect("a query").len() == 1
    })
    .await;
    tally::create_table(&pool).await;
    watch_to_the_end(&pool, &history).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_moves_at_the_same_cost_while_somebody_reads_an_old_snapshot() {
    const BATCHES: u64 = 100;
    /// Pages of its table that a worker may touch in so many batches. It passes over all fifty that are full of
    /// dead rows a few times, when it begins and once a second, and not for every batch.
    const MOST_PAGES: i64 = 20 * BATCHES.cast_signed();
    /// Of one look that passes over all of them.
    const PAGES_OF_A_LOOK: i64 = 150;
    let pool = pool().await;
    let (_, projections) = Trail::leak();
    trail::create_table(&pool).await;
    let history = Journal::default();
    let source = Arc::new(Source::default());
    let running = Running::start(options(&pool, projections), source.clone());
    eventually("it has a row", || async {
        !list_projections(&pool).await.expect("a query").is_empty()
    })
    .await;
    running.stop().await;
    let mut dump = pool.begin().await.expect("it is up");
    for statement in ["set transaction isolation level repeatable read", "select 1"] {
        sqlx::query(statement).execute(&mut *dump).await.expect("a statement");
    }
    let mut many = PgConnection::connect_with(&pool.connect_options()).await.expect("it is up");
    sqlx::raw_sql(
        "do $$ begin for i in 1..5000 loop \
           update projections set updated_at = now() where name = 'trail'; commit; \
         end loop; end $$",
    )
    .execute(&mut many)
    .await
    .expect("nobody keeps the row for long");
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut many).await.expect("a query");
    many.close().await.expect("it is up");
    // A session tells what it touched when it ends, and it ends after its client has gone.
    eventually("the session with the many updates has ended", || async {
        let ended = "select not exists (select from pg_stat_activity where pid = $1)";
        sqlx::query_scalar::<_, bool>(ended).bind(pid).fetch_one(&pool).await.expect("a query")
    })
    .await;
    let pages = async || -> i64 {
        let touched = "select (heap_blks_hit + heap_blks_read)::bigint from pg_statio_user_tables \
                       where relname = 'projections'";
        sqlx::query_scalar(touched).fetch_one(&pool).await.expect("a query")
    };
    let before = pages().await;
    let began = Instant::now();
    let running = Running::start(options(&pool, projections), source.clone());
    for number in 1..=BATCHES {
        let head = history.head();
        trail::step(&history, 1);
        source.journal.append(history.after(head));
        eventually("it is applied", || async {
            let rows = trail::rows(&pool).await;
            rows.values().map(Vec::len).sum::<usize>() as u64 == number
        })
        .await;
    }
    running.stop().await;
    let touched = pages().await - before;
    // It also looks once a second, however long a busy machine takes for the batches.
    let looks = 2 * began.elapsed().as_secs().cast_signed();
    let most = MOST_PAGES + looks * PAGES_OF_A_LOOK;
    assert!(touched <= most, "{touched} pages, at most {most}");
    dump.rollback().await.expect("it is up");
}
