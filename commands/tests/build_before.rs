//! Processes of the build before run beside those of this one while a deploy is rolled out.

mod support;

use commands::journal::{Appended, FirstOutcome, Keyed};
use domain::Position;
use support::{Database, append};
use testkit::new_id;
use uuid::Uuid;

/// Status, first position, fingerprint and head, as that build reads them.
type Row = (i32, String, Option<i64>, Option<Vec<u8>>, i64);

/// One keyed command of one event, or of none, the way that build calls the append.
async fn append_v2(database: &Database, key: Uuid, events: i32) -> Row {
    sqlx::query_as(
        "select cmd, status, first_position, first_fingerprint, head_position \
           from journal_append_v2( \
           array[$1], array['\\x0707'::bytea], array['{}'], \
           array[nullif($2, 0)], array[nullif($2, 0)], \
           '{}', '{}', '{}', '{}', '{}', \
           array_fill(1, array[$2]), array_fill('test'::text, array[$2]), \
           array_fill($1::text, array[$2]), array_fill(1::bigint, array[$2]), \
           array_fill('Tested'::text, array[$2]), array_fill('1'::text, array[$2]), \
           array_fill('{}'::text, array[$2]), array_fill('{}'::text, array[$2]), \
           array_fill($1, array[$2]), true, false)",
    )
    .bind(key)
    .bind(events)
    .fetch_one(&database.pool)
    .await
    .expect("the second form of the append is there")
}

#[tokio::test]
async fn the_build_before_appends_and_replays_and_leaves_no_fingerprint_of_its_own() {
    let database = Database::new().await;
    let (done, key) = (|head| (0, "ok".to_owned(), Some(head), None, head), new_id());
    assert_eq!(append_v2(&database, key, 1).await, done(1));
    let replay = (1, "replay".to_owned(), Some(1), Some(vec![7, 7]), 1);
    assert_eq!(append_v2(&database, key, 1).await, replay, "its own body is as good as any");
    // What it decides without events may have been a refusal: nothing is kept.
    let nothing = new_id();
    for _ in 0..2 {
        let (cmd, status, _, fingerprint, head) = append_v2(&database, nothing, 0).await;
        assert_eq!((cmd, status.as_str(), fingerprint, head), (0, "ok", None, 1));
    }
    let kept: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("select key, fingerprint from command_outcomes")
            .fetch_all(&database.pool)
            .await
            .expect("the outcomes are readable");
    assert_eq!(kept, [(key, vec![])], "a digest that everybody can compute is not kept");

    // This build takes its keys for what they are, and the other way round.
    let journal = database.journal();
    let keyed = |key| Keyed { key, fingerprint: [1; 32], outcome: Some("{}".to_owned()) };
    let (mut again, _) = append(&key.to_string(), 1, None);
    again.keyed = Some(keyed(key));
    let replayed = journal.append(again).await;
    let Ok(Appended::Replay(FirstOutcome {
        positions: Some((Position::FIRST, Position::FIRST)),
        fingerprint: None,
        ..
    })) = replayed
    else {
        panic!("its body is not known: {replayed:?}");
    };
    let (mut ours, _) = append("ours", 1, None);
    let key = new_id();
    ours.keyed = Some(keyed(key));
    journal.append(ours).await.expect("the journal is up");
    assert_eq!(append_v2(&database, key, 1).await.1, "replay");
}

#[tokio::test]
async fn digests_that_anybody_can_compute_are_forgotten_and_their_keys_are_not() {
    let database = Database::new().await;
    let journal = database.journal();
    let (mut first, _) = append("a", 1, None);
    let outcome = Some("{}".to_owned());
    first.keyed = Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome });
    let again = first.clone();
    journal.append(first).await.expect("the journal is up");
    // As if the migration came now.
    let migration = include_str!("../../migrations/0015_fingerprints.sql");
    sqlx::raw_sql(migration).execute(&database.pool).await.expect("it applies");
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("select fingerprint from command_outcomes")
        .fetch_all(&database.pool)
        .await
        .expect("the outcomes are readable");
    assert_eq!(kept, [Vec::<u8>::new()]);
    let replayed = journal.append(again).await;
    let Ok(Appended::Replay(FirstOutcome {
        positions: Some((Position::FIRST, Position::FIRST)),
        fingerprint: None,
        ..
    })) = replayed
    else {
        panic!("the key is known: {replayed:?}");
    };
}
