//! A poison event holds back what depends on it, and nothing else.

use crate::rebuild::rebuild_now;
use crate::support::{Running, Source, options};
use crate::trail::{self, Trail};
use compose::testing::eventually;
use domain::Position;
use follow::elections::Elections;
use projections::dead_letters::{self, DeadLetter, DeadLetterStatus, Decided};
use projections::{Limit, Options, Projection, Status, list_projections};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::sync::Arc;
use testkit::{Journal, pool};

/// Random histories; each costs a database and some retries of a second.
const HISTORIES: usize = 3;

struct Scene {
    pool: PgPool,
    history: Journal,
    source: Arc<Source>,
    trail: &'static Trail,
    projections: &'static [&'static dyn Projection],
}

impl Scene {
    async fn new() -> Self {
        let pool = pool().await;
        trail::create_table(&pool).await;
        let (trail, projections) = Trail::leak();
        let (history, source) = (Journal::default(), Arc::default());
        Self { pool, history, source, trail, projections }
    }

    fn run(&self, batch_events: usize, elect: bool) -> Running {
        let elections = elect.then(Elections::new);
        let options = Options { batch_events, elections, ..options(&self.pool, self.projections) };
        Running::start(options, self.source.clone())
    }

    /// Records an event for each of these streams and lets it come.
    fn steps(&mut self, streams: impl IntoIterator<Item = u64>) {
        let before = self.history.head();
        for stream in streams {
            trail::step(&self.history, stream);
        }
        self.source.journal.append(self.history.after(before));
    }

    async fn status(&self) -> (Status, Position) {
        let found = list_projections(&self.pool).await.expect("a query");
        found
            .first()
            .map_or((Status::Running, Position::START), |found| (found.status, found.position))
    }

    async fn stands_at(&self, status: Status, position: u64) {
        let wanted = (status, Position::new(position));
        eventually(&format!("it is at {wanted:?}"), || async { self.status().await == wanted })
            .await;
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let mut letters = vec![];
        let mut cursor = None;
        loop {
            let page = dead_letters::list(&self.pool, cursor.as_deref(), Limit::MAX).await;
            let page = page.expect("a query");
            letters.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return letters;
            }
        }
    }

    /// Rows and letters are what they have to be while these events fail.
    async fn shows(&self, poison: &BTreeSet<u64>) {
        let (rows, positions) = trail::expected(&self.history, poison);
        assert_eq!(trail::rows(&self.pool).await, rows);
        let letters = self.letters().await;
        let found: Vec<u64> = letters.iter().map(|letter| letter.id.position.get()).collect();
        assert_eq!(found, positions);
        let mut keys = BTreeSet::new();
        for letter in letters {
            // The first of each ordering key failed, the others wait.
            let first = keys.insert(letter.ordering_key.clone().expect("every stream is a key"));
            let failed = letter.status == DeadLetterStatus::Failed;
            assert_eq!((failed, letter.reason.is_some()), (first, first), "{letter:?}");
        }
    }

    /// Asks for another try of every ordering key, and waits until that was made.
    async fn retry_all(&self) {
        for letter in self.letters().await {
            let decided = dead_letters::request_retry(&self.pool, &letter.id).await;
            // One of the same ordering key may have been asked for, and applied, since they were listed.
            let decided = decided.expect("a query");
            assert!([Decided::Accepted, Decided::Unknown].contains(&decided), "{decided:?}");
        }
        self.tried().await;
    }

    async fn tried(&self) {
        eventually("what was asked for was tried", || async {
            self.letters().await.iter().all(|letter| !letter.retry)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_holds_back_its_ordering_key_and_a_retry_applies_it_in_order() {
    let mut scene = Scene::new().await;
    scene.steps([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    let poison = BTreeSet::from([4, 8]);
    *scene.trail.poison() = poison.clone();
    let running = scene.run(1_000, true);
    scene.stands_at(Status::PartlyParked, 9).await;
    scene.shows(&poison).await;
    // What comes later waits as well, and a retry without a cure changes nothing but the count.
    scene.steps([3, 2, 1]);
    scene.stands_at(Status::PartlyParked, 12).await;
    scene.shows(&poison).await;
    scene.retry_all().await;
    scene.shows(&poison).await;
    let attempts: Vec<_> = scene.letters().await.iter().map(|letter| letter.attempts).collect();
    assert_eq!(attempts, [2, 0, 2, 0, 0], "only what failed was tried");

    // One ordering key is mended: it alone goes on.
    scene.trail.poison().remove(&4);
    scene.retry_all().await;
    scene.shows(&BTreeSet::from([8])).await;
    scene.trail.poison().clear();
    scene.retry_all().await;
    scene.shows(&BTreeSet::new()).await;
    scene.stands_at(Status::Running, 12).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_poison_batches_crashes_and_retries_end_in_the_rows_of_a_run_without_faults() {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..HISTORIES {
        let drawn = (
            1..60_usize,
            prop::bool::ANY,
            prop::collection::vec(0..7_u64, 200),
            prop::collection::btree_set(1..200_u64, 0..12),
            prop::collection::btree_set(1..200_u64, 0..6),
            prop::collection::btree_set(1..200_u64, 0..100),
        );
        let drawn = drawn.new_tree(&mut runner).expect("nothing is filtered").current();
        let (batch, elect, streams, poison, crashes, cured) = drawn;
        let mut scene = Scene::new().await;
        *scene.trail.poison() = poison.clone();
        *scene.trail.crashes() = crashes.clone();
        // Without an election nothing keeps the two apart but the checkpoint's row.
        let workers = [scene.run(batch, elect), scene.run(batch, elect)];
        scene.steps(streams[..100].iter().copied());
        eventually("it is in the middle", || async { scene.status().await.1.get() == 100 }).await;
        scene.shows(&poison).await;
        // Some are mended; whoever comes meanwhile meets a retry, and crashes again.
        let left: BTreeSet<u64> = poison.difference(&cured).copied().collect();
        *scene.trail.poison() = left.clone();
        scene.trail.crashes().extend(&crashes);
        scene.steps(streams[100..].iter().copied());
        scene.retry_all().await;
        eventually("it is at the end", || async { scene.status().await.1.get() == 200 }).await;
        scene.retry_all().await;
        scene.shows(&left).await;

        // A rebuild by the same code leaves the same rows and letters.
        scene.trail.crashes().clear();
        let known = scene.letters().await;
        rebuild_now(&scene.pool, scene.projections[0], &scene.source).await;
        scene.shows(&left).await;
        assert_eq!(scene.letters().await, known);
        // Once everything is mended, nothing shows that anything ever failed.
        scene.trail.poison().clear();
        scene.retry_all().await;
        scene.shows(&BTreeSet::new()).await;
        scene.stands_at(Status::Running, 200).await;
        for worker in workers {
            worker.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_works_on_the_projection_while_a_letter_is_tried_again() {
    let mut scene = Scene::new().await;
    scene.steps([1]);
    scene.trail.poison().insert(1);
    // Without an election, so that both come to it.
    let workers = [scene.run(1_000, false), scene.run(1_000, false)];
    scene.stands_at(Status::PartlyParked, 1).await;
    scene.trail.poison().clear();
    let gate = scene.trail.hold_at(1);
    let letter = scene.letters().await.remove(0);
    dead_letters::request_retry(&scene.pool, &letter.id).await.expect("a query");
    gate.reached.notified().await;
    // While one of them is at it, the next event of the ordering key comes.
    scene.steps([1]);
    eventually("the other one waits", || async {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and application_name = 'gomall projection trail' and wait_event_type = 'Lock'",
        )
        .fetch_one(&scene.pool)
        .await
        .expect("a query");
        waiting == 1
    })
    .await;
    gate.open.notify_one();
    scene.stands_at(Status::Running, 2).await;
    scene.shows(&BTreeSet::new()).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_letter_asks_for_all_of_its_ordering_key_and_for_no_other() {
    let mut scene = Scene::new().await;
    // More than one transaction of a retry holds.
    scene.steps((0..250).map(|_| 1));
    scene.steps([2]);
    scene.trail.poison().extend([1, 251]);
    let running = scene.run(1_000, true);
    scene.stands_at(Status::PartlyParked, 251).await;
    scene.trail.poison().clear();
    let asked = scene.letters().await.remove(120);
    dead_letters::request_retry(&scene.pool, &asked.id).await.expect("a query");
    eventually("the ordering key is applied", || async { scene.letters().await.len() == 1 }).await;
    scene.shows(&BTreeSet::from([251])).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_leaves_out_one_event_and_loses_none_after_it() {
    let mut scene = Scene::new().await;
    scene.steps([1, 2, 1, 1, 2]);
    scene.trail.poison().insert(3);
    let running = scene.run(1_000, true);
    scene.stands_at(Status::PartlyParked, 5).await;
    let letters = scene.letters().await;
    let [failed, waiting] = letters.as_slice() else { panic!("{letters:?}") };
    let decide = async |letter: &DeadLetter| {
        dead_letters::give_up(&scene.pool, &letter.id).await.expect("a query")
    };
    assert_eq!(decide(waiting).await, Decided::OnlyWaits);
    assert_eq!(decide(failed).await, Decided::Accepted);
    scene.tried().await;
    scene.stands_at(Status::Running, 5).await;
    let left_out = trail::Rows::from([
        ("stream-1".to_owned(), vec![1, 4]),
        ("stream-2".to_owned(), vec![2, 5]),
    ]);
    assert_eq!(trail::rows(&scene.pool).await, left_out);
    // The decision stays as its record, and a rebuild keeps to it.
    let given_up = scene.letters().await;
    assert_eq!(given_up.len(), 1);
    assert_eq!((given_up[0].status, &given_up[0].id), (DeadLetterStatus::GivenUp, &failed.id));
    assert_eq!(decide(&given_up[0]).await, Decided::GivenUp);
    rebuild_now(&scene.pool, scene.projections[0], &scene.source).await;
    assert_eq!(trail::rows(&scene.pool).await, left_out);
    assert_eq!(scene.letters().await[0].status, DeadLetterStatus::GivenUp);
    // A build that can apply it after all takes it in where it belongs.
    scene.trail.poison().clear();
    rebuild_now(&scene.pool, scene.projections[0], &scene.source).await;
    scene.shows(&BTreeSet::new()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_is_made_while_a_rebuild_runs_stands() {
    let mut scene = Scene::new().await;
    scene.steps([1, 1, 2, 1]);
    scene.trail.poison().insert(2);
    let running = scene.run(1_000, true);
    scene.stands_at(Status::PartlyParked, 4).await;
    running.stop().await;
    let letter = scene.letters().await.remove(0);
    // The rebuild has met the event when somebody gives it up; no worker has seen to that.
    let mut decided = false;
    let options = crate::rebuild::rebuild_options(&scene.pool, &scene.source, 50);
    let (pool, id) = (scene.pool.clone(), letter.id.clone());
    let handle = tokio::runtime::Handle::current();
    let rebuilt =
        projections::rebuild(scene.projections[0], options, scene.source.clone(), |progress| {
            if progress.stage == projections::Stage::Tidying
                && !std::mem::replace(&mut decided, true)
            {
                let give_up = dead_letters::give_up(&pool, &id);
                let given_up = tokio::task::block_in_place(|| handle.block_on(give_up));
                assert_eq!(given_up.expect("a query"), Decided::Accepted);
            }
        });
    rebuilt.await.expect("nothing is in its way");
    let running = scene.run(1_000, true);
    scene.tried().await;
    scene.stands_at(Status::Running, 4).await;
    let rows = trail::rows(&scene.pool).await;
    assert_eq!(rows["stream-1"], [1, 4]);
    assert_eq!(scene.letters().await[0].status, DeadLetterStatus::GivenUp);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_parked_keys_park_the_whole_projection() {
    const KEYS: u64 = 100;
    let mut scene = Scene::new().await;
    scene.steps(0..KEYS + 20);
    scene.trail.poison().extend(1..=KEYS + 20);
    let running = scene.run(1_000, true);
    scene.stands_at(Status::Parked, KEYS).await;
    let letters = scene.letters().await;
    assert_eq!(letters.len() as u64, KEYS + 1);
    let last = letters.last().expect("there are some");
    assert_eq!((last.ordering_key.as_deref(), last.status), (None, DeadLetterStatus::Failed));
    // One try for each letter; the projection goes on when the event before which it stands is
    // applied.
    scene.trail.poison().clear();
    scene.retry_all().await;
    scene.stands_at(Status::Running, KEYS + 20).await;
    scene.shows(&BTreeSet::new()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_waiting_events_park_the_whole_projection() {
    const HELD: u64 = 10_000;
    let mut scene = Scene::new().await;
    scene.steps((0..=HELD + 5).map(|_| 1));
    scene.steps([2]);
    scene.trail.poison().insert(1);
    let running = scene.run(1_000, true);
    scene.stands_at(Status::Parked, HELD).await;
    // Another ordering key has to wait too, until there is room.
    assert!(trail::rows(&scene.pool).await.is_empty());
    scene.trail.poison().clear();
    rebuild_now(&scene.pool, scene.projections[0], &scene.source).await;
    scene.stands_at(Status::Running, HELD + 7).await;
    scene.shows(&BTreeSet::new()).await;
    running.stop().await;
}
