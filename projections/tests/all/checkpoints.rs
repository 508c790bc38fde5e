use crate::support::{PATIENCE, Running, Source, record_foreign};
use compose::testing::eventually;
use domain::Position;
use follow::elections::Elections;
use projections::{Behind, Checkpoints, Options, carts};
use sqlx::PgPool;
use std::time::Duration;
use testkit::{Journal, pool};
use tokio_util::sync::{CancellationToken, DropGuard};

fn checkpoints(pool: &PgPool) -> (Checkpoints, DropGuard) {
    let cancel = CancellationToken::new();
    let connect = pool.connect_options().as_ref().clone();
    (Checkpoints::start(connect, cancel.clone()), cancel.drop_guard())
}

async fn set_position(pool: &PgPool, position: i64) {
    sqlx::query(
        "insert into projections (name, version, position) values ('carts', 1, $1) \
         on conflict (name) do update set position = excluded.position",
    )
    .bind(position)
    .execute(pool)
    .await
    .expect("the row is written");
}

#[tokio::test]
async fn a_wait_ends_when_a_worker_elsewhere_has_got_there() {
    let pool = pool().await;
    let (checkpoints, _running) = checkpoints(&pool);
    set_position(&pool, 4).await;
    let waiting = {
        let checkpoints = checkpoints.clone();
        tokio::spawn(
            async move { checkpoints.wait_for(carts::NAME, Position::new(5), PATIENCE).await },
        )
    };
    checkpoints.wait_for(carts::NAME, Position::new(4), PATIENCE).await.expect("already there");
    assert!(!waiting.is_finished());
    // No signal of any kind: only the database knows.
    set_position(&pool, 5).await;
    assert_eq!(waiting.await.expect("no panic"), Ok(()));
    assert_eq!(checkpoints.positions().get(carts::NAME), Some(&Position::new(5)));
}

#[tokio::test]
async fn a_wait_that_is_in_vain_says_how_far_the_projection_is() {
    let pool = pool().await;
    let (checkpoints, _running) = checkpoints(&pool);
    set_position(&pool, 4).await;
    checkpoints.wait_for(carts::NAME, Position::new(4), PATIENCE).await.expect("already there");
    let behind =
        checkpoints.wait_for(carts::NAME, Position::new(5), Duration::from_millis(30)).await;
    let expected = Behind {
        projection: carts::NAME.to_owned(),
        wanted: Position::new(5),
        reached: Position::new(4),
    };
    assert_eq!(behind, Err(expected));
    let unknown =
        checkpoints.wait_for("no such", Position::new(1), Duration::from_millis(30)).await;
    assert_eq!(unknown.expect_err("nobody keeps it").reached, Position::START);
}

#[tokio::test]
async fn a_thousand_waiters_cost_one_poller() {
    let pool = pool().await;
    let (checkpoints, _running) = checkpoints(&pool);
    set_position(&pool, 0).await;
    let waiters: Vec<_> = (0..1_000_u64)
        .map(|number| {
            let checkpoints = checkpoints.clone();
            tokio::spawn(async move {
                checkpoints.wait_for(carts::NAME, Position::new(1 + number % 10), PATIENCE).await
            })
        })
        .collect();
    let sessions: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where datname = current_database() and application_name = 'gomall checkpoints'",
    )
    .fetch_one(&pool)
    .await
    .expect("a query");
    assert!(sessions <= 1, "{sessions}");
    for position in 1..=10 {
        set_position(&pool, position).await;
    }
    for waiter in waiters {
        assert_eq!(waiter.await.expect("no panic"), Ok(()));
    }
}

#[tokio::test]
async fn a_local_worker_is_heard_without_the_database() {
    let pool = pool().await;
    let history = Journal::default();
    for _ in 0..3 {
        record_foreign(&history);
    }
    // A poller that never runs: what is heard comes from the workers alone.
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let checkpoints = Checkpoints::start(pool.connect_options().as_ref().clone(), cancelled);
    let running = Running::start(
        Options::new(&pool, checkpoints.clone(), Elections::new()),
        Source::of(&history),
    );
    for projection in projections::ALL {
        let reached = checkpoints.wait_for(projection.name(), Position::new(3), PATIENCE).await;
        assert_eq!(reached, Ok(()), "{}", projection.name());
    }
    running.stop().await;
}

#[tokio::test]
async fn the_poller_survives_a_lost_connection_and_believes_the_database_afterwards() {
    let pool = pool().await;
    let (checkpoints, _running) = checkpoints(&pool);
    set_position(&pool, 7).await;
    checkpoints.wait_for(carts::NAME, Position::new(7), PATIENCE).await.expect("already there");
    // As after a crash that took unflushed commits back.
    set_position(&pool, 5).await;
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and application_name = 'gomall checkpoints'",
    )
    .execute(&pool)
    .await
    .expect("a superuser may");
    eventually("the position has gone back", || async {
        checkpoints.positions().get(carts::NAME) == Some(&Position::new(5))
    })
    .await;
}
