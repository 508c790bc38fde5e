//! A rebuild that is cut off, or in somebody's way, changes nothing.

use crate::rebuild::{rebuild_now, rebuild_options, shape};
use crate::support::{Running, Source, options};
use crate::tally::{self, Mishap, Tally};
use compose::testing::eventually;
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use futures::future::BoxFuture;
use projections::{ApplyError, Projection, RebuildError, Stage, rebuild};
use sqlx::{PgConnection, PgPool};
use std::ops::RangeInclusive;
use std::sync::Arc;
use testkit::{Journal, pool};
use tokio::sync::watch;

/// A live projection at its end, and what its tables look like.
struct Live {
    pool: PgPool,
    history: Journal,
    source: Arc<Source>,
    shape: Vec<String>,
}

impl Live {
    async fn start() -> Self {
        let pool = pool().await;
        tally::create_table(&pool).await;
        let history = tally::history(1_000);
        let source = Source::of(&history);
        let running = Running::start(options(&pool, Tally::new().leak()), source.clone());
        eventually("it is at the end", || async {
            tally::snapshot(&pool).await.0 == history.head()
        })
        .await;
        running.stop().await;
        let shape = shape(&pool).await;
        Self { pool, history, source, shape }
    }

    /// Rows and checkpoint are as they were.
    async fn is_untouched(&self) {
        let head = self.history.head();
        let expected = (head, tally::expected(&self.history, head));
        assert_eq!(tally::snapshot(&self.pool).await, expected);
    }

    async fn can_be_rebuilt(&self) {
        rebuild_now(&self.pool, Tally::new().leak()[0], &self.source).await;
        self.is_untouched().await;
        assert_eq!(shape(&self.pool).await, self.shape, "nothing is left over");
    }
}

async fn sessions(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar(
        "select pid from pg_stat_activity where datname = current_database() \
         and application_name = 'gomall rebuild tally'",
    )
    .fetch_all(pool)
    .await
    .expect("a query")
}

/// Gives no answer to whoever asks for events after `until`.
struct Stalling {
    events: Arc<Source>,
    until: Position,
}

impl EventSource for Stalling {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        if after.position >= self.until {
            std::future::pending::<()>().await;
        }
        self.events.read_after(after, limit).await
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_dropped_leaves_the_live_rows_and_the_next_one_works() {
    let live = Live::start().await;
    for until in [50, 350, 900].map(Position::new) {
        let (position, mut filled) = watch::channel(Position::START);
        let task = tokio::spawn({
            let options = rebuild_options(&live.pool, &live.source, 50);
            let source = Arc::new(Stalling { events: live.source.clone(), until });
            async move {
                rebuild(Tally::new().leak()[0], options, source, |progress| {
                    position.send_replace(progress.position);
                })
                .await
            }
        });
        filled.wait_for(|position| *position == until).await.expect("it goes on");
        task.abort();
        assert!(task.await.expect_err("it was dropped").is_cancelled());
        live.is_untouched().await;
        live.can_be_rebuilt().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_whose_connection_is_cut_leaves_the_live_rows_and_the_next_one_works() {
    let live = Live::start().await;
    // In the middle of a batch, after its rows were written.
    let cut = Tally::new().with_mishap(501, Mishap::ConnectionLost, 1).leak();
    let options = rebuild_options(&live.pool, &live.source, 50);
    let outcome = rebuild(cut[0], options, live.source.clone(), |_| ()).await;
    outcome.expect_err("the connection was cut");
    live.is_untouched().await;
    live.can_be_rebuilt().await;

    // While it tries to swap.
    let mut in_the_way = live.pool.begin().await.expect("a connection");
    sqlx::query("select from tally").execute(&mut *in_the_way).await.expect("a query");
    let (attempts, mut attempted) = watch::channel(0);
    let task = tokio::spawn({
        let options = rebuild_options(&live.pool, &live.source, 50);
        let source = live.source.clone();
        async move {
            rebuild(Tally::new().leak()[0], options, source, |progress| {
                if let Stage::Swapping { attempt } = progress.stage {
                    attempts.send_replace(attempt);
                }
            })
            .await
        }
    });
    attempted.wait_for(|attempt| *attempt >= 2).await.expect("it tries again");
    for pid in sessions(&live.pool).await {
        sqlx::query("select pg_terminate_backend($1)")
            .bind(pid)
            .execute(&live.pool)
            .await
            .expect("a superuser may");
    }
    task.await.expect("no panic").expect_err("the connection was cut");
    in_the_way.rollback().await.expect("a connection");
    live.is_untouched().await;
    live.can_be_rebuilt().await;
}

#[tokio::test]
async fn what_hangs_on_a_table_is_not_lost_silently() {
    let live = Live::start().await;
    sqlx::query("create view report as select sum(counted) from tally")
        .execute(&live.pool)
        .await
        .expect("the table is there");
    let options = rebuild_options(&live.pool, &live.source, 50);
    let outcome = rebuild(Tally::new().leak()[0], options, live.source.clone(), |_| ()).await;
    let error = outcome.expect_err("the view would go on with the old rows");
    assert!(matches!(error, RebuildError::Entangled { .. }), "{error}");
    assert!(error.to_string().contains("the view report"), "{error}");
    sqlx::query("drop view report").execute(&live.pool).await.expect("it is there");
    live.can_be_rebuilt().await;
}

/// Writes a table that it does not own up to.
struct Undeclared;

impl Projection for Undeclared {
    fn name(&self) -> &'static str {
        tally::NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn aggregates(&self) -> &'static [&'static str] {
        &[tally::COUNTED]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["carts"]
    }

    fn ordering_key(&self, _: &RecordedEvent) -> Option<String> {
        None
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        _: &'a [Arc<RecordedEvent>],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            sqlx::query("delete from tally").execute(conn).await?;
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_table_that_is_not_declared_cannot_be_written_by_a_rebuild() {
    let live = Live::start().await;
    let options = rebuild_options(&live.pool, &live.source, 50);
    let outcome = rebuild(&Undeclared, options, live.source.clone(), |_| ()).await;
    let error = outcome.expect_err("there is no such table beside the live one").to_string();
    assert!(error.contains("\"tally\" does not exist"), "{error}");
    live.is_untouched().await;
    live.can_be_rebuilt().await;
}

#[tokio::test]
async fn one_rebuild_can_follow_another_at_once_whatever_became_of_it() {
    let live = Live::start().await;
    for _ in 0..20 {
        let options = || rebuild_options(&live.pool, &live.source, 500);
        let failed = rebuild(&Undeclared, options(), live.source.clone(), |_| ()).await;
        let failed = failed.expect_err("its table is not declared");
        assert!(matches!(failed, RebuildError::Apply(_)), "{failed}");
        let tally = Tally::new().leak()[0];
        let done = rebuild(tally, options(), live.source.clone(), |_| ()).await;
        done.expect("the one before gave its lock back");
    }
}
