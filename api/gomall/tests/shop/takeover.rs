//! Which of several `gomall relay` publishes, when the one that does is killed or hangs.

use crate::support::{PATIENCE, command, tempdir::TempDir};
use async_nats::jetstream;
use compose::Stack;
use compose::testing::{Durability, eventually, private};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use sqlx::types::Uuid;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// From the death of one relay to the first publish of the other.
const TAKE_OVER: Duration = Duration::from_secs(2);
/// A single take-over while other tests keep both cores busy; most of several keep the promise.
const TAKE_OVER_WHEN_BUSY: Duration = Duration::from_secs(6);
/// How long the database waits for a holder that says nothing: `SILENCE_MS` in
/// `projections/follow/src/elections.rs`.
const SILENCE: Duration = Duration::from_millis(1200);
/// So that there is always something to publish.
const APPEND_INTERVAL: Duration = Duration::from_millis(5);
const STREAM: &str = "GOMALL";

#[tokio::test]
async fn a_relay_that_is_killed_is_followed_within_two_seconds() {
    let shop = Shop::new().await;
    let mut publishing = shop.relay();
    let appending = shop.keep_appending();
    shop.publishes_from_here().await;
    let mut took = vec![];
    for _ in 0..3 {
        let waiting = shop.relay();
        shop.sessions(2).await;
        publishing.kill9();
        let taken_over = shop.publishes_from_here().await;
        eprintln!("killed: the other publishes after {taken_over:?}");
        assert!(taken_over < TAKE_OVER_WHEN_BUSY, "{taken_over:?}");
        took.push(taken_over);
        publishing = waiting;
    }
    took.sort();
    assert!(took[took.len() / 2] < TAKE_OVER, "most of them: {took:?}");
    appending.end().await;
    shop.check_copy().await;
}

#[tokio::test]
async fn a_relay_that_hangs_is_followed_and_does_no_harm_when_it_goes_on() {
    let shop = Shop::new().await;
    let first = shop.relay();
    let appending = shop.keep_appending();
    shop.publishes_from_here().await;
    let second = shop.relay();
    shop.sessions(2).await;
    let mut took = vec![];
    for holder in [&first, &second] {
        holder.stop();
        let taken_over = shop.publishes_from_here().await;
        eprintln!("stopped: the other publishes after {taken_over:?}");
        assert!(taken_over < TAKE_OVER_WHEN_BUSY, "{taken_over:?}");
        took.push(taken_over);
        // It goes on in the middle of a publish, and believes for a moment that it is the one.
        holder.go_on();
        shop.sessions(2).await;
        shop.publishes_from_here().await;
    }
    assert!(took.iter().min() < Some(&(SILENCE + TAKE_OVER)), "{took:?}");
    appending.end().await;
    shop.check_copy().await;
}

/// Servers, a migrated database, and whatever relays the test starts.
struct Shop {
    stack: Stack,
    data_dir: TempDir,
    pool: PgPool,
    jetstream: jetstream::Context,
}

/// A running `gomall relay`; killed when dropped, also when it is stopped.
struct Relay(Child);

/// Somebody who appends.
struct Appending {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Shop {
    async fn new() -> Self {
        let stack = private(Durability::Volatile).await;
        stack.postgres.create_database("gomall").await.expect("a fresh cluster");
        let pool = PgPool::connect(&stack.postgres.url("gomall")).await.expect("it was just made");
        commands::MIGRATOR.run(&pool).await.expect("an empty database");
        let client = async_nats::connect(stack.nats.url()).await.expect("it runs");
        let jetstream = jetstream::new(client);
        Self { stack, data_dir: TempDir::new(), pool, jetstream }
    }

    fn relay(&self) -> Relay {
        let (database_url, nats_url) = (self.stack.postgres.url("gomall"), self.stack.nats.url());
        let environment = [
            ("DATABASE_URL", &*database_url),
            ("NATS_URL", &*nats_url),
            ("GOMALL_DATA_DIR", self.data_dir.text()),
        ];
        let mut command = command(&["relay"], &environment);
        Relay(command.stdout(Stdio::null()).spawn().expect("the binary was built with the test"))
    }

    /// Waits until so many relays have a session, the one that publishes among them.
    async fn sessions(&self, wanted: i64) {
        eventually("every relay asks for the lease", || async {
            let sessions: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where application_name = 'gomall elections'",
            )
            .fetch_one(&self.pool)
            .await
            .expect("PostgreSQL runs");
            (sessions == wanted).then_some(())
        })
        .await;
    }

    /// Waits until something is published that is not appended yet, and says how long it took.
    async fn publishes_from_here(&self) -> Duration {
        let begun = Instant::now();
        let head = self.head().await;
        eventually("something is published", || async {
            (self.published().await > head).then_some(())
        })
        .await;
        begun.elapsed()
    }

    async fn head(&self) -> u64 {
        let head: i64 = sqlx::query_scalar("select coalesce(max(position), 0) from events")
            .fetch_one(&self.pool)
            .await
            .expect("PostgreSQL runs");
        head.unsigned_abs()
    }

    async fn published(&self) -> u64 {
        let stream = self.jetstream.get_stream(STREAM).await;
        stream.map_or(0, |stream| stream.cached_info().state.last_sequence)
    }

    /// Appends without a pause. The test is the only writer.
    fn keep_appending(&self) -> Appending {
        let (stop, pool) = (CancellationToken::new(), self.pool.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(APPEND_INTERVAL);
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                sqlx::query(
                    "insert into events (position, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, payload, metadata, event_id, recorded_at) \
                     select coalesce(max(position), 0) + 1, 'test', gen_random_uuid()::text, 1, \
                       'Tested', '1', '{}', '{}', gen_random_uuid(), now() from events",
                )
                .execute(&pool)
                .await
                .expect("PostgreSQL runs");
            }
        });
        Appending { stop, task }
    }

    /// Message n is event n, and there is none more.
    async fn check_copy(&self) {
        let head = self.head().await;
        eventually("everything is published", || async {
            (self.published().await >= head).then_some(())
        })
        .await;
        let events: Vec<Uuid> = sqlx::query_scalar("select event_id from events order by position")
            .fetch_all(&self.pool)
            .await
            .expect("PostgreSQL runs");
        let stream = self.jetstream.get_stream(STREAM).await.expect("a stream");
        assert_eq!(stream.cached_info().state.messages, events.len() as u64);
        for (position, event) in (1..).zip(events) {
            let message = stream.direct_get(position).await.expect("message n for event n");
            let id = message.headers.get(nats::stream::EVENT_ID_HEADER).map(|id| id.as_str());
            assert_eq!(id, Some(event.to_string().as_str()), "position {position}");
        }
    }
}

impl Appending {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("everything was appended");
    }
}

impl Relay {
    fn kill9(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is our child");
    }

    /// Returns when it has stopped.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.0.id());
        let deadline = Instant::now() + PATIENCE;
        let stopped = || std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") T "));
        while !stopped() {
            assert!(Instant::now() < deadline, "a signal is delivered");
            std::thread::yield_now();
        }
    }

    fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it is ours");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
