use crate::support::given;
use domain::session::{SessionEnd, SessionEvent};
use domain::{Position, Sealed, SessionId, Timestamp, UserId};
use projections::{Limit, sessions};
use sqlx::PgPool;
use testkit::{Journal, id, recorded_at};

/// A moment after all that happens here.
fn now() -> Timestamp {
    recorded_at(Position::new(1_000)).into()
}

fn started(user: u128, epoch: u32, seconds: i64) -> SessionEvent {
    SessionEvent::SessionStarted {
        user_id: id(user),
        expires_at: now().plus_seconds(seconds),
        ends_at: None,
        epoch,
        proved_at: None,
        second_factor: false,
        device: Some(Sealed::from_ciphertext("device".to_owned())),
    }
}

async fn of(pool: &PgPool, user: u128, epoch: u32) -> Vec<SessionId> {
    let user_id: UserId = id(user);
    let limit = Limit::new(10).expect("a limit");
    let page = sessions::list(pool, user_id, epoch, now(), None, limit).await.expect("a query");
    page.items.iter().map(|session| session.session_id).collect()
}

#[tokio::test]
async fn a_user_sees_the_sessions_that_go_on_newest_first() {
    let history = Journal::default();
    let session = |number: u128, event| history.record("session", id::<SessionId>(number), &event);
    session(1, started(5, 0, 60));
    session(2, started(5, 0, 60));
    session(3, started(5, 0, 0));
    session(4, started(6, 0, 60));
    session(5, started(5, 0, 60));
    session(5, SessionEvent::SessionRevoked { reason: SessionEnd::SignedOut });
    session(6, started(5, 1, 60));
    session(7, started(5, 0, 60));
    session(7, SessionEvent::SessionKept { epoch: 1 });
    session(8, started(5, 0, -60));
    let refreshed = SessionEvent::SessionRefreshed {
        presented: 1,
        generation: 2,
        refreshed_at: now().plus_seconds(-5),
        expires_at: now().plus_seconds(600),
    };
    let last = session(8, refreshed);
    let pool = given(&history).await;

    assert_eq!(of(&pool, 5, 0).await, [id(8), id(2), id(1)], "not over, not ended, theirs");
    assert_eq!(of(&pool, 5, 1).await, [id(7), id(6)], "after all others ended");
    assert_eq!(of(&pool, 6, 0).await, [id(4)]);

    let limit = Limit::new(1).expect("a limit");
    let page = sessions::list(&pool, id(5), 0, now(), None, limit).await.expect("a query");
    let newest = &page.items[0];
    assert_eq!(newest.device.as_ref().map(Sealed::ciphertext), Some("device"));
    assert_eq!(newest.seen_at, now().plus_seconds(-5));
    assert_eq!((newest.version, newest.position), (2, last));
    let cursor = page.next_cursor.as_deref();
    let page = sessions::list(&pool, id(5), 0, now(), cursor, limit).await.expect("a query");
    assert_eq!(page.items[0].session_id, id(2), "the next page");
}
