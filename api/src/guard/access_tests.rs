use super::*;
use domain::{SessionId, UserId};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;
use uuid::Uuid;

/// A journal whose answers can be held back.
#[derive(Default)]
struct Journal {
    sequence: Mutex<u64>,
    loads: AtomicU32,
    gate: Mutex<Option<Arc<Notify>>>,
    started: Notify,
    broken: std::sync::atomic::AtomicBool,
}

impl Journal {
    fn set(&self, sequence: u64) {
        *self.sequence.lock().expect("no test panics with the lock") = sequence;
    }
}

#[async_trait]
impl AccessSource for Journal {
    async fn user(&self, _: UserId) -> Result<UserAccess, Unavailable> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(Unavailable("no connection".into()));
        }
        let sequence = *self.sequence.lock().expect("no test panics with the lock");
        let gate = self.gate.lock().expect("no test panics with the lock").clone();
        self.started.notify_one();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        Ok(UserAccess {
            sequence,
            exists: true,
            roles: Arc::default(),
            ban: None,
            ..UserAccess::default()
        })
    }

    async fn session(&self, _: SessionId) -> Result<SessionAccess, Unavailable> {
        Err(Unavailable("not asked for here".into()))
    }
}

fn id() -> UserId {
    Uuid::from_u128(1).into()
}

fn cache() -> (Arc<Journal>, Arc<AccessCache>) {
    let journal = Arc::new(Journal::default());
    journal.set(1);
    let cache = Arc::new(AccessCache::new(journal.clone()));
    (journal, cache)
}

#[tokio::test]
async fn an_answer_is_loaded_once_until_something_changes() {
    let (journal, cache) = cache();
    for _ in 0..3 {
        assert_eq!(cache.user(id()).await.expect("it loads").sequence, 1);
    }
    assert_eq!(journal.loads.load(Ordering::SeqCst), 1);
    journal.set(2);
    cache.note_user_change(id(), 2).await;
    assert_eq!(cache.user(id()).await.expect("it loads").sequence, 2);
    // News that arrive late, or twice, change nothing.
    cache.note_user_change(id(), 1).await;
    cache.note_user_change(id(), 2).await;
    assert_eq!(cache.user(id()).await.expect("it loads").sequence, 2);
    assert_eq!(journal.loads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_a_change_overtook_while_it_was_loaded_is_not_used() {
    let (journal, cache) = cache();
    let gate = Arc::new(Notify::new());
    *journal.gate.lock().expect("no test panics with the lock") = Some(gate.clone());
    let slow = tokio::spawn({
        let cache = cache.clone();
        async move { cache.user(id()).await.expect("it loads").sequence }
    });
    journal.started.notified().await;
    // The load has read sequence 1; now the user is banned, and we are told.
    journal.set(2);
    cache.note_user_change(id(), 2).await;
    *journal.gate.lock().expect("no test panics with the lock") = None;
    gate.notify_one();
    assert_eq!(slow.await.expect("the task ends"), 2);
    assert_eq!(cache.user(id()).await.expect("it loads").sequence, 2);
}

#[tokio::test]
async fn a_source_that_stays_behind_a_known_change_is_not_believed() {
    let (journal, cache) = cache();
    cache.note_user_change(id(), 2).await;
    let problem = cache.user(id()).await.expect_err("the source is behind");
    assert_eq!((problem.status().as_u16(), problem.code()), (503, "unavailable"));
    assert_eq!(journal.loads.load(Ordering::SeqCst), MAX_LOADS);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_does_not_answer_is_not_waited_for() {
    let (journal, cache) = cache();
    *journal.gate.lock().expect("no test panics with the lock") = Some(Arc::default());
    assert_eq!(cache.user(id()).await.expect_err("it hangs").code(), "unavailable");
    *journal.gate.lock().expect("no test panics with the lock") = None;
    assert!(cache.user(id()).await.is_ok());
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let (journal, cache) = cache();
    journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(cache.user(id()).await.expect_err("no connection").code(), "unavailable");
    journal.broken.store(false, Ordering::SeqCst);
    assert!(cache.user(id()).await.is_ok());
}

#[test]
fn a_change_is_remembered_longer_than_any_answer_it_could_overtake() {
    assert!(CHANGE_KEPT_FOR > FRESH_FOR + LOAD_TIMEOUT);
}

#[test]
fn a_ban_ends_when_it_says_and_a_session_too() {
    let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
    let user = |ban| UserAccess {
        sequence: 1,
        exists: true,
        roles: Arc::default(),
        ban,
        ..UserAccess::default()
    };
    assert!(!user(None).is_banned(at(0)));
    assert!(user(Some(None)).is_banned(at(i64::from(i32::MAX))));
    assert!(user(Some(Some(at(10)))).is_banned(at(9)));
    assert!(!user(Some(Some(at(10)))).is_banned(at(10)));
    let session = SessionAccess {
        sequence: 1,
        user_id: Some(id()),
        live_until: Some(at(10)),
        ..SessionAccess::default()
    };
    assert!(session.is_live(at(9)));
    assert!(!session.is_live(at(10)));
}
