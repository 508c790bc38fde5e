//! What the append promises when clocks do not: outcomes are found, and nothing is written while
//! time jumps.

mod support;

use commands::journal::{Appended, Keyed};
use std::time::Duration;
use support::{Database, append};
use testkit::new_id;
use time::OffsetDateTime;
use uuid::Uuid;

/// Far more than clocks differ by.
const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn an_outcome_is_found_whatever_the_clock_did() {
    let database = Database::new().await;
    let journal = database.journal();
    // An hour, weeks that have a partition, and one that has none, ahead of the clock and behind.
    for days in [0, 2, 9, 16, 100, -2, -9, -100] {
        let (id, key) = (format!("of {days}"), new_id());
        let keyed = || Keyed { key, fingerprint: [7; 32], outcome: Some("{}".to_owned()) };
        let (mut command, event_id) = append(&id, 1, None);
        command.keyed = Some(keyed());
        // Decided anew on what the first attempt left: only the key can tell.
        let (mut again, _) = append(&id, 2, Some(event_id));
        again.keyed = Some(keyed());
        let done = journal.append(command).await;
        assert!(matches!(done, Ok(Appended::Done { .. })), "{days}: {done:?}");
        let moved = sqlx::query(
            "update command_outcomes \
                set recorded_at = recorded_at + make_interval(days => $2, hours => 1) where key = $1",
        )
        .bind(key)
        .bind(days)
        .execute(&database.pool);
        let moved = moved.await.expect("the table is the test's own");
        assert_eq!(moved.rows_affected(), 1);
        let replayed = journal.append(again).await;
        assert!(matches!(replayed, Ok(Appended::Replay(_))), "{days}: {replayed:?}");
    }
}

#[tokio::test]
async fn nothing_is_written_while_the_clock_is_behind_the_last_event() {
    let database = Database::new().await;
    let journal = database.journal();
    journal.append(append("a", 1, None).0).await.expect("the journal is up");
    let back = Some(Duration::from_secs(5));
    last_event_is_ahead(&database, Duration::from_secs(3)).await;
    let evened_out = call(&database, Call { back, ..Call::default() }).await;
    assert_eq!(evened_out, Ok((1, 2)), "a little is evened out");
    last_event_is_ahead(&database, HOUR).await;
    for (event, outcome) in [(true, None), (true, Some("{}")), (false, Some("{}"))] {
        let written = call(&database, Call { event, outcome, back, ..Call::default() }).await;
        assert_eq!(written, Err("GM001".to_owned()), "{event} {outcome:?}");
    }
    // What writes nothing is answered, and who does not want to look need not.
    let refusal = Call { event: false, outcome: None, back, ..Call::default() };
    assert!(call(&database, refusal).await.is_ok());
    assert!(call(&database, Call::default()).await.is_ok());
}

#[tokio::test]
async fn nothing_is_written_while_database_and_client_disagree_about_the_time() {
    let database = Database::new().await;
    #[expect(clippy::disallowed_methods, reason = "the test is its own composition root")]
    let now = OffsetDateTime::now_utc();
    let skew = Some(HOUR);
    for (client_now, expected) in [
        (now, Ok(())),
        (now + HOUR / 2, Ok(())),
        (now - HOUR / 2, Ok(())),
        (now + 24 * HOUR, Err("GM001".to_owned())),
        (now - 24 * HOUR, Err("GM001".to_owned())),
    ] {
        let call = call(&database, Call { now: Some(client_now), skew, ..Call::default() });
        assert_eq!(call.await.map(drop), expected, "{client_now}");
    }
}

#[tokio::test]
async fn a_known_key_is_answered_while_clocks_disagree() {
    let database = Database::new().await;
    let journal = database.journal();
    let (mut command, _) = append("a", 1, None);
    let outcome = Some("{}".to_owned());
    command.keyed = Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome });
    let again = command.clone();
    journal.append(command).await.expect("the journal is up");
    last_event_is_ahead(&database, HOUR).await;
    assert!(matches!(journal.append(again).await, Ok(Appended::Replay(_))));
}

/// One keyed command, straight to the function.
struct Call {
    event: bool,
    outcome: Option<&'static str>,
    now: Option<OffsetDateTime>,
    skew: Option<Duration>,
    back: Option<Duration>,
}

impl Default for Call {
    fn default() -> Self {
        Self { event: true, outcome: Some("{}"), now: None, skew: None, back: None }
    }
}

/// Calls the append with one command on a stream of its own. Answers the new number of events of
/// the call and the head, or the error's code.
async fn call(database: &Database, call: Call) -> Result<(i64, i64), String> {
    let events = i32::from(call.event);
    let id = new_id::<Uuid>().to_string();
    sqlx::query_as(
        "select last_position - first_position + 1, head_position from journal_append_v3( \
           array[$1], array['\\x07'::bytea], array[$2], \
           array[nullif($3, 0)], array[nullif($3, 0)], \
           '{1}', '{0}', '{test}', array[$4], array[null::uuid], \
           array_fill(1, array[$3]), array_fill('test'::text, array[$3]), \
           array_fill($4, array[$3]), array_fill(1::bigint, array[$3]), \
           array_fill('Tested'::text, array[$3]), array_fill('1'::text, array[$3]), \
           array_fill('{}'::text, array[$3]), array_fill('{}'::text, array[$3]), \
           array_fill($1, array[$3]), true, false, $5, $6, $7)",
    )
    .bind(new_id::<Uuid>())
    .bind(call.outcome)
    .bind(events)
    .bind(id)
    .bind(call.now)
    .bind(call.skew)
    .bind(call.back)
    .fetch_one(&database.pool)
    .await
    .map_err(|error| {
        let code = error.as_database_error().and_then(|error| error.code());
        code.unwrap_or_else(|| error.to_string().into()).into_owned()
    })
}

/// As if the clock had gone back by so much since the last append.
async fn last_event_is_ahead(database: &Database, by: Duration) {
    sqlx::query(
        "update events set recorded_at = clock_timestamp() + $1 \
          where position = (select max(position) from events)",
    )
    .bind(by)
    .execute(&database.pool)
    .await
    .expect("the table is the test's own");
}
