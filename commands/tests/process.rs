//! The kit for process managers, on a real journal.

mod support;

use compose::testing::eventually;
use domain::RecordedEvent;
use follow::process::{self, Change, Next, Process, Timer};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Database, Running, append};
use tokio::time::Instant;

/// How long after its event a timer is due.
const AFTER: Duration = Duration::from_millis(700);

/// How late a timer may fire: the contract's second, and what a busy machine takes.
const LATE: Duration = Duration::from_millis(2_500);

/// When each timer fired, and which attempt that was.
type Fired = BTreeMap<String, Vec<(Instant, u32)>>;

/// Every first event of a stream sets a timer, every second one clears it.
#[derive(Clone, Default)]
struct Toy {
    fired: Arc<Mutex<Fired>>,
    /// How often a timer wants to be due before it is done.
    again: u32,
    /// How long it takes.
    works_for: Duration,
    /// How long it takes for keys that begin with "slow".
    slow_for: Duration,
}

impl Process for Toy {
    const NAME: &'static str = "toy";
    const READS: &'static [&'static str] = &["test"];
    const PATIENCE: Duration = Duration::from_secs(3);

    fn take(&self, event: &RecordedEvent) -> Result<Vec<Change>, String> {
        let key = event.aggregate_id.clone();
        Ok(vec![match event.sequence {
            1 => Change::Set { key, after: AFTER, data: json!({ "position": event.position }) },
            _ => Change::Clear { key },
        }])
    }

    async fn due(&self, timer: &Timer) -> Next {
        let is_slow = timer.key.starts_with("slow");
        tokio::time::sleep(if is_slow { self.slow_for } else { self.works_for }).await;
        assert!(timer.data["position"].is_u64() && timer.age() >= AFTER);
        let mut fired = self.fired.lock().expect("nobody panics with it");
        fired.entry(timer.key.clone()).or_default().push((Instant::now(), timer.attempts));
        if timer.attempts < self.again {
            Next::Again(timer.back_off(Duration::from_millis(100), Duration::from_millis(200)))
        } else {
            Next::Done
        }
    }
}

impl Toy {
    fn fired(&self) -> BTreeMap<String, Vec<u32>> {
        let fired = self.fired.lock().expect("nobody panics with it");
        let attempts = |of: &Vec<(Instant, u32)>| of.iter().map(|(_, attempt)| *attempt).collect();
        fired.iter().map(|(key, of)| (key.clone(), attempts(of))).collect()
    }

    async fn start(&self, database: &Database) -> Running {
        let (toy, pool) = (Arc::new(self.clone()), database.pool.clone());
        database.process(|tail, stop| process::run(toy, pool, tail, stop)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_once_over_all_processes_and_in_time_unless_it_is_cleared() {
    const TIMERS: usize = 40;
    let database = Database::new().await;
    let toy = Toy::default();
    let running =
        [toy.start(&database).await, toy.start(&database).await, toy.start(&database).await];
    let journal = database.journal();
    let mut set = BTreeMap::new();
    for number in 0..TIMERS {
        let id = format!("{number:02}");
        let (first, event_id) = append(&id, 1, None);
        journal.append(first).await.expect("the journal is up");
        if number % 4 == 0 {
            let (second, _) = append(&id, 2, Some(event_id));
            journal.append(second).await.expect("the journal is up");
        } else {
            set.insert(id, Instant::now());
        }
    }
    eventually("all have fired", async || {
        (toy.fired().len() == set.len() && database.timers().await == 0).then_some(())
    })
    .await;
    // Nobody fires one that is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(toy.fired().values().all(|attempts| attempts == &[0]), "{:?}", toy.fired());
    let fired = toy.fired.lock().expect("nobody panics with it").clone();
    for (id, set_at) in set {
        let late = fired[&id][0].0 - set_at;
        assert!(late <= AFTER + LATE, "{id} fired {late:?} after it was set");
    }
    for process in running {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_is_not_done_fires_again_and_one_that_is_at_work_is_left_alone() {
    let database = Database::new().await;
    let toy = Toy { again: 3, works_for: Duration::from_millis(600), ..Toy::default() };
    let running = [toy.start(&database).await, toy.start(&database).await];
    let journal = database.journal();
    journal.append(append("a", 1, None).0).await.expect("the journal is up");
    eventually("it is done", async || {
        (toy.fired().contains_key("a") && database.timers().await == 0).then_some(())
    })
    .await;
    assert_eq!(toy.fired()["a"], [0, 1, 2, 3]);
    for process in running {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_timer_keeps_its_own_place_and_no_other() {
    const SLOW: usize = 40;
    let database = Database::new().await;
    let toy = Toy { slow_for: Duration::from_millis(2_900), ..Toy::default() };
    let running = toy.start(&database).await;
    let journal = database.journal();
    for number in 0..SLOW {
        journal.append(append(&format!("slow-{number}"), 1, None).0).await.expect("it is up");
    }
    eventually("they are at work", async || {
        let taken: i64 =
            sqlx::query_scalar("select count(*) from process_timers where attempts = 1")
                .fetch_one(&database.pool)
                .await
                .expect("a query");
        (taken == SLOW as i64).then_some(())
    })
    .await;
    // Due while all the slow ones are still at it.
    sqlx::query(
        "insert into process_timers (process, key, set_at, due_at, data) \
         values ('toy', 'fast', clock_timestamp() - interval '1 minute', clock_timestamp(), \
                 '{\"position\": 1}')",
    )
    .execute(&database.pool)
    .await
    .expect("a statement");
    let due = Instant::now();
    eventually("it has fired", async || toy.fired().contains_key("fast").then_some(())).await;
    assert!(due.elapsed() < LATE, "{:?}", due.elapsed());
    assert!(!toy.fired().contains_key("slow-39"), "the others are at work");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_at_work_when_its_process_died_is_done_by_another() {
    let database = Database::new().await;
    let hangs = Toy { works_for: Duration::from_secs(600), ..Toy::default() };
    let first = hangs.start(&database).await;
    let journal = database.journal();
    journal.append(append("a", 1, None).0).await.expect("the journal is up");
    eventually("it is at work", async || {
        let taken: Option<i32> = sqlx::query_scalar("select attempts from process_timers")
            .fetch_optional(&database.pool)
            .await
            .expect("a query");
        (taken == Some(1)).then_some(())
    })
    .await;
    // As kill -9 would: nothing is finished.
    first.task.abort();
    sqlx::query("update process_timers set due_at = due_at - interval '13 seconds'")
        .execute(&database.pool)
        .await
        .expect("its lease is over");
    let toy = Toy::default();
    let running = toy.start(&database).await;
    eventually("it is done", async || (database.timers().await == 0).then_some(())).await;
    assert_eq!(toy.fired()["a"], [1]);
    running.stop().await;
}
