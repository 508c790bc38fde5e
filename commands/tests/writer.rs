//! The writer when the database is in trouble: it waits with bounds, keeps what is healthy, lets
//! neighbours pass, and acknowledges nothing that can be lost.

mod support;

use commands::journal::{
    Append, AppendError, Appended, Journal, Keyed, MAX_OFFSET, WriterSettings,
};
use compose::Durability;
use compose::testing::eventually;
use domain::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use support::{Database, append, world};
use testkit::new_id;
use uuid::Uuid;

/// Impatient, so that a test need not wait.
const SETTINGS: WriterSettings = WriterSettings {
    give_up_after: Duration::from_secs(3),
    append_timeout: Duration::from_millis(300),
};

fn one(id: &str) -> Append {
    append(id, 1, None).0
}

async fn take(journal: &Journal) -> Result<Appended, AppendError> {
    journal.append(one(&new_id::<Uuid>().to_string())).await
}

fn is_done(outcome: &Result<Appended, AppendError>) -> bool {
    matches!(outcome, Ok(Appended::Done { .. }))
}

async fn run(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(statement).execute(pool).await.expect("a statement");
}

/// The writer's backends in this database.
async fn backends(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar(
        "select pid from pg_stat_activity \
         where datname = current_database() and application_name = 'gomall journal'",
    )
    .fetch_all(pool)
    .await
    .expect("a query")
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from events").fetch_one(pool).await.expect("a query")
}

#[tokio::test]
async fn an_append_that_is_held_up_leaves_no_backend_behind_and_commits_nothing_after_its_error() {
    let database = Database::new().await;
    let journal = database.journal_with(database.options.clone(), SETTINGS, world().now);
    assert!(is_done(&take(&journal).await));
    let mine = backends(&database.pool).await;
    let mut holder = database.pool.begin().await.expect("it is up");
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(domain::locks::APPEND)
        .execute(&mut *holder)
        .await
        .expect("free");

    assert_eq!(take(&journal).await, Err(AppendError::Unreachable));
    assert_eq!(backends(&database.pool).await, mine, "the connection is as good as before");
    let waiting: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() \
         and application_name = 'gomall journal' and state = 'active'",
    )
    .fetch_one(&database.pool)
    .await
    .expect("a query");
    assert_eq!(waiting, 0, "and nothing is on its way");
    holder.rollback().await.expect("it is up");
    assert!(is_done(&take(&journal).await));
    assert_eq!(count(&database.pool).await, 2, "what was given up is not there");
}

#[tokio::test]
async fn a_frozen_backend_is_left_and_ended_and_the_batch_is_there_once() {
    let database = Database::new().await;
    let settings = WriterSettings {
        give_up_after: Duration::from_secs(20),
        append_timeout: Duration::from_millis(1_500),
    };
    let journal = database.journal_with(database.options.clone(), settings, world().now);
    assert!(is_done(&take(&journal).await));
    let frozen = backends(&database.pool).await[0];
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &frozen.to_string()]).status();
        assert!(sent.expect("there is such a command").success());
    };
    signal("-STOP");
    let outcome = take(&journal).await;
    signal("-CONT");
    assert!(is_done(&outcome), "{outcome:?}");
    eventually("it has ended", async || !backends(&database.pool).await.contains(&frozen)).await;
    assert_eq!(count(&database.pool).await, 2);
    database.assert_gap_free().await;
}

#[tokio::test]
async fn a_server_that_is_told_to_only_read_says_so_at_once_over_a_few_connections() {
    let database = Database::new().await;
    let name = database.options.get_database().expect("it has a name").to_owned();
    let sessions = async || {
        // What backends count comes in when they end or rest.
        let counted: i64 =
            sqlx::query_scalar("select sessions from pg_stat_database where datname = $1")
                .bind(&name)
                .fetch_one(&database.pool)
                .await
                .expect("a query");
        counted
    };
    let before = sessions().await;
    run(
        &database.pool,
        &format!("alter database \"{name}\" set default_transaction_read_only = on"),
    )
    .await;
    let journal = database.journal_with(database.options.clone(), SETTINGS, world().now);
    let began = Instant::now();
    let mut tries = 0;
    while began.elapsed() < SETTINGS.give_up_after {
        let asked = Instant::now();
        assert_eq!(take(&journal).await, Err(AppendError::Refused("25006".to_owned())));
        assert!(asked.elapsed() < SETTINGS.give_up_after / 2, "nobody waits for what cannot pass");
        tries += 1;
    }
    let tried = sessions().await - before;
    assert!(tried <= 12, "{tried} connections in three seconds for {tries} commands");
    run(&database.pool, &format!("alter database \"{name}\" reset default_transaction_read_only"))
        .await;
    eventually("it goes on by itself", async || is_done(&take(&journal).await)).await;
}

#[tokio::test]
async fn what_can_never_pass_is_said_at_once() {
    let database = Database::new().await;
    let role = format!("reader_{}", new_id::<Uuid>().simple());
    run(
        &database.pool,
        &format!("create role {role} login; grant select on all tables in schema public to {role}"),
    )
    .await;
    let options = database.options.clone().username(&role);
    let journal = database.journal_with(options, SETTINGS, world().now);
    let began = Instant::now();
    assert_eq!(take(&journal).await, Err(AppendError::Refused("42501".to_owned())));
    assert!(began.elapsed() < SETTINGS.give_up_after / 2);
    let mine = backends(&database.pool).await;
    run(&database.pool, &format!("grant insert, update on all tables in schema public to {role}"))
        .await;
    assert!(is_done(&take(&journal).await));
    assert_eq!(backends(&database.pool).await, mine, "on the same connection");
    run(&database.pool, &format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn whatever_level_a_role_prefers_the_writer_reads_committed() {
    let database = Database::new().await;
    let name = database.options.get_database().expect("it has a name");
    let level = "default_transaction_isolation = 'serializable'";
    run(&database.pool, &format!("alter database \"{name}\" set {level}")).await;
    assert!(is_done(&take(&database.journal()).await));
}

#[tokio::test]
async fn a_command_that_the_database_will_not_take_holds_up_no_neighbour() {
    let database = Database::new().await;
    let journal = database.journal_with(database.options.clone(), SETTINGS, world().now);
    run(
        &database.pool,
        "create function refuse() returns trigger language plpgsql as $$ begin \
           if new.aggregate_id = 'poison' then raise exception 'not this one'; end if; \
           return new; end $$; \
         create trigger refuse before insert on events for each row execute function refuse()",
    )
    .await;
    // While the first one is on its way the others come together.
    let began = Instant::now();
    let (first, poison, neighbours) =
        tokio::join!(take(&journal), journal.append(one("poison")), async {
            let (a, b, c) = tokio::join!(take(&journal), take(&journal), take(&journal));
            ([a, b, c], began.elapsed())
        });
    assert!(is_done(&first));
    let (outcomes, took) = neighbours;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert!(took < SETTINGS.give_up_after / 2, "{took:?}");
    assert_eq!(poison, Err(AppendError::Unreachable));
    assert_eq!(count(&database.pool).await, 4);
    database.assert_gap_free().await;
}

/// How far the process's clock is wrong in the test below, in seconds.
static WRONG_BY: AtomicI64 = AtomicI64::new(0);

fn wrong_clock() -> Timestamp {
    let now = time::OffsetDateTime::from((world().now)());
    (now + time::Duration::seconds(WRONG_BY.load(Ordering::Relaxed))).into()
}

#[tokio::test]
async fn nothing_is_written_while_clocks_disagree_and_decisions_take_the_databases_time() {
    let database = Database::new().await;
    let journal = database.journal_with(database.options.clone(), SETTINGS, wrong_clock);
    let off_by = |clock: Timestamp| {
        time::OffsetDateTime::from(clock) - time::OffsetDateTime::from((world().now)())
    };
    for seconds in [60, -60, 0] {
        WRONG_BY.store(seconds, Ordering::Relaxed);
        assert!(is_done(&take(&journal).await), "clocks differ a little");
        let off = off_by(journal.clock().now());
        assert!(off.abs() < time::Duration::seconds(1), "{seconds}: {off}");
    }
    let key = new_id();
    let keyed = |id: &str| {
        let outcome = Some("{}".to_owned());
        Append { keyed: Some(Keyed { key, fingerprint: [1; 32], outcome }), ..one(id) }
    };
    assert!(is_done(&journal.append(keyed("a")).await));
    let day = i64::try_from(MAX_OFFSET.as_secs()).expect("small") * 288;
    for seconds in [day, -day] {
        WRONG_BY.store(seconds, Ordering::Relaxed);
        let began = Instant::now();
        assert_eq!(take(&journal).await, Err(AppendError::ClockJumped));
        assert!(began.elapsed() < SETTINGS.give_up_after / 2, "at once");
        let replayed = journal.append(keyed("b")).await;
        assert!(matches!(replayed, Ok(Appended::Replay(_))), "{replayed:?}");
    }
    WRONG_BY.store(0, Ordering::Relaxed);
    assert!(is_done(&take(&journal).await), "it goes on by itself");
    assert_eq!(count(&database.pool).await, 5);
}

#[tokio::test]
async fn a_batch_that_no_standby_has_is_not_acknowledged_by_being_found_here() {
    let stack = compose::testing::private(Durability::Volatile).await;
    stack.postgres.create_database("standby").await.expect("it is new");
    // The server is one that forgets, and would have its sessions not wait.
    let options = PgConnectOptions::from_str(&stack.postgres.url("standby"))
        .expect("an address")
        .options([("synchronous_commit", "on")]);
    let pool = PgPoolOptions::new().connect_with(options.clone()).await.expect("it is up");
    commands::MIGRATOR.run(&pool).await.expect("the migrations apply");
    // Set where the server starts from, so that every session has it.
    let mut admin = PgConnection::connect_with(&options).await.expect("it is up");
    let mut set = async |what: &str| {
        for statement in [format!("alter system {what}"), "select pg_reload_conf()".to_owned()] {
            sqlx::raw_sql(&statement).execute(&mut admin).await.expect("a statement");
        }
    };
    let journal = Journal::start(pool.clone(), options.clone(), SETTINGS, world().now).0;
    assert!(is_done(&take(&journal).await));

    // Nobody of this name ever comes: a commit is here, and waits.
    set("set synchronous_standby_names = 'nobody'").await;
    eventually("commits wait", async || {
        let mut probe = PgConnection::connect_with(&options).await.expect("it is up");
        let commit = sqlx::raw_sql("select pg_logical_emit_message(true, 'probe', '')");
        let commit = tokio::time::timeout(Duration::from_millis(200), commit.execute(&mut probe));
        commit.await.is_err()
    })
    .await;
    let key = new_id();
    let keyed = || {
        let outcome = Some("{}".to_owned());
        Append { keyed: Some(Keyed { key, fingerprint: [1; 32], outcome }), ..one("a") }
    };
    assert_eq!(journal.append(keyed()).await, Err(AppendError::Unreachable));
    let here: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&pool).await.expect("a query");
    assert_eq!(here, 2, "it is here, and could be lost");
    assert_eq!(journal.append(keyed()).await, Err(AppendError::Unreachable), "nor by its key");
    let nothing_to_do = Append { expectations: vec![], events: vec![], keyed: None };
    let told = journal.append(nothing_to_do).await;
    assert_eq!(
        told,
        Err(AppendError::Unreachable),
        "nor by a state in which there is nothing to do"
    );
    assert!(journal.counters().unanswered_for().is_some());

    set("reset synchronous_standby_names").await;
    eventually("it is known to take commands, without one", async || {
        journal.counters().unanswered_for().is_none()
    })
    .await;
    let mut outcome = journal.append(keyed()).await;
    while outcome == Err(AppendError::Unreachable) {
        outcome = journal.append(keyed()).await;
    }
    assert!(matches!(outcome, Ok(Appended::Replay(_))), "{outcome:?}");
    pool.close().await;
    drop(journal);
    stack.stop().await;
}
