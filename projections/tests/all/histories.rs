//! The journal loses events, as at a fail-over to a standby that was behind: no row shows them.

use crate::support::{PATIENCE, Running, Source, options};
use crate::tally::{self, Tally};
use compose::testing::eventually;
use domain::Position;
use projections::{Checkpoints, Options, list_projections};
use sqlx::PgPool;
use std::sync::Arc;
use testkit::{Journal, pool};
use tokio_util::sync::CancellationToken;

async fn applied(history: &Journal) -> (PgPool, Arc<Source>, Running, Checkpoints) {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let source = Source::of(history);
    let connect = pool.connect_options().as_ref().clone();
    let checkpoints = Checkpoints::start(connect, CancellationToken::new());
    let checkpoints_of_worker = Some(checkpoints.clone());
    let options = Options {
        batch_events: 7,
        checkpoints: checkpoints_of_worker,
        ..options(&pool, Tally::new().leak())
    };
    let running = Running::start(options, source.clone());
    shows(&pool, history).await;
    (pool, source, running, checkpoints)
}

async fn shows(pool: &PgPool, history: &Journal) {
    eventually("the rows show the history", async || {
        tally::snapshot(pool).await == (history.head(), tally::expected(history, history.head()))
    })
    .await;
}

fn go_on(history: &Journal, events: u64) {
    for event in 0..events {
        tally::count(history, event % 10 + 5);
    }
}

#[tokio::test]
async fn an_event_that_the_journal_does_not_have_changes_no_row() {
    let history = tally::history(20);
    let (pool, source, running, _) = applied(&history).await;
    let before = tally::snapshot(&pool).await;
    let fork = history.part(..=20);
    // The memory of a process outlives the database that it mirrors.
    source.lose_after(Position::new(20)).await;
    go_on(&history, 5);
    source.journal.append(history.after(Position::new(20)));
    // Events that nobody reads are passed over, and what they were is asked when that is stored.
    eventually("it was tried and refused", async || {
        let refused: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and application_name = 'gomall projection tally'",
        )
        .fetch_one(&pool)
        .await
        .expect("a query");
        refused == 0
    })
    .await;
    assert_eq!(tally::snapshot(&pool).await, before);

    go_on(&fork, 3);
    source.become_history(&fork);
    shows(&pool, &fork).await;
    running.stop().await;
}

#[tokio::test]
async fn rows_of_events_that_the_journal_lost_are_built_anew() {
    for (lost_after, more) in [(12, 0), (12, 4), (12, 30), (0, 3)] {
        let lost_after = Position::new(lost_after);
        let history = tally::history(20);
        let (pool, source, running, checkpoints) = applied(&history).await;
        let fork = history.part(..=lost_after.get());
        go_on(&fork, more);
        // The read models are another database's, or were ahead: they did not go back.
        source.lose_after(lost_after).await;
        source.become_history(&fork);
        if more > 0 {
            shows(&pool, &fork).await;
            let head = fork.head();
            checkpoints.wait_for(tally::NAME, head, PATIENCE).await.expect("it gets there");
            eventually("readers are told", async || {
                checkpoints.positions().get(tally::NAME) == Some(&head)
            })
            .await;
        }
        let before = fork.head();
        go_on(&fork, 2);
        source.journal.append(fork.after(before));
        shows(&pool, &fork).await;
        let statuses = list_projections(&pool).await.expect("a query");
        assert_eq!(statuses.len(), 1);
        running.stop().await;
    }
}

#[tokio::test]
async fn rows_of_a_build_that_wrote_no_event_down_are_believed_within_the_journal_only() {
    let history = tally::history(20);
    let (pool, source, running, _) = applied(&history).await;
    running.stop().await;
    let as_before = "update projections set event_position = null, event_id = null";
    sqlx::query(as_before).execute(&pool).await.expect("a query");
    sqlx::query("update tally set counted = counted + 1000 where stream = 'stream-0'")
        .execute(&pool)
        .await
        .expect("a query");
    let start = || Running::start(options(&pool, Tally::new().leak()), source.clone());
    let longer = history.part(..=20);
    go_on(&longer, 1);
    source.journal.append(longer.after(Position::new(20)));
    let running = start();
    eventually("it goes on", async || tally::snapshot(&pool).await.0.get() == 21).await;
    assert!(tally::snapshot(&pool).await.1["stream-0"] > 1000, "nothing was built anew");
    running.stop().await;

    sqlx::query(as_before).execute(&pool).await.expect("a query");
    let fork = longer.part(..=20);
    source.lose_after(Position::new(20)).await;
    source.become_history(&fork);
    let running = start();
    shows(&pool, &fork).await;
    running.stop().await;
}
