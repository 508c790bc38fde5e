//! The journal's promises, on a real PostgreSQL.

mod support;

use commands::journal::{
    Append, AppendError, Appended, Expectation, FirstOutcome, JournalReader, Keyed,
    MAX_EVENT_BYTES, Tail, summarize,
};
use compose::testing::eventually;
use domain::{Cursor, EventSource, Filter, Position, RecordedEvent, Tag};
use futures::TryStreamExt;
use sqlx::postgres::PgPoolOptions;
use std::collections::HashSet;
use std::time::Duration;
use support::{Database, append};
use testkit::new_id;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const FIRST: Position = Position::FIRST;
const THIRD: Position = Position::new(3);

#[tokio::test]
async fn positions_are_gap_free_and_in_commit_order_across_writers() {
    let database = Database::new().await;
    let journals = [database.journal(), database.journal(), database.journal()];
    let mut writers = tokio::task::JoinSet::new();
    for (writer, journal) in journals.into_iter().enumerate() {
        for client in 0..8 {
            let journal = journal.clone();
            writers.spawn(async move {
                let (mut acknowledged, mut head) = (vec![], None);
                for sequence in 1..=25 {
                    let id = format!("{writer}-{client}");
                    let (command, event_id) = append(&id, sequence, head);
                    let done = journal.append(command).await.expect("the journal is up");
                    let Appended::Done { positions: Some((position, _)), .. } = done else {
                        panic!("nobody else writes this stream: {done:?}");
                    };
                    acknowledged.push((position, event_id));
                    head = Some(event_id);
                }
                acknowledged
            });
        }
    }
    let acknowledged: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    database.assert_gap_free().await;
    let stored: HashSet<_> = database
        .events()
        .await
        .into_iter()
        .map(|(position, _, _, event_id)| {
            (Position::try_from(position).expect("positive"), event_id)
        })
        .collect();
    assert_eq!(acknowledged.len(), 3 * 8 * 25);
    assert!(acknowledged.iter().all(|each| stored.contains(each)), "acknowledged means stored");
}

#[tokio::test]
async fn a_batch_of_large_events_is_bounded_by_its_size_in_memory_and_in_the_database() {
    const EVENTS: u64 = 24;
    let database = Database::new().await;
    let journal = database.journal();
    let reader = JournalReader::new(database.pool.clone(), journal.head());
    let cancel = CancellationToken::new();
    let tail = Tail::start(reader.clone(), cancel.clone()).await.expect("readable");
    let payload = format!("{{\"text\":\"{}\"}}", "x".repeat(MAX_EVENT_BYTES - 1024));
    for event in 0..EVENTS {
        let (mut large, _) = append(&event.to_string(), 1, None);
        large.events[0].payload.clone_from(&payload);
        journal.append(large).await.expect("the journal is up");
    }
    tail.head().wait_for(|head| head.get() == EVENTS).await.expect("it follows");
    let from_the_database = batches(&reader).await;
    let from_memory = batches(&tail).await;
    assert_eq!(from_the_database.concat(), (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(from_memory, from_the_database, "whoever delivers them");
    // Sixteen of a little less than 512 KiB do not make 8 MiB, seventeen do.
    assert_eq!(from_memory.iter().map(Vec::len).collect::<Vec<_>>(), [17, 7]);
    let page =
        reader.page(Position::START, 1_000, &Filter::default()).await.expect("it is readable");
    assert_eq!(page.len(), 17, "a page is a batch");
    let exported = reader
        .export(Position::START, Filter::default())
        .try_fold(0, async |count, _| Ok(count + 1));
    assert_eq!(exported.await.expect("it is readable"), EVENTS, "and an export goes on behind it");
    cancel.cancel();
}

/// The positions of every batch until there is no more; a thousand events are asked for each time.
async fn batches(source: &impl EventSource) -> Vec<Vec<u64>> {
    let (mut batches, mut after) = (vec![], Cursor::START);
    loop {
        let events = source.read_after(after, 1_000).await.expect("it is readable");
        let Some(last) = events.last() else { return batches };
        after = Cursor::behind(last);
        batches.push(events.iter().map(|event| event.position.get()).collect());
    }
}

#[tokio::test]
async fn a_decision_on_a_state_that_is_gone_is_refused_by_event_id_not_by_version() {
    let database = Database::new().await;
    let journal = database.journal();
    let (first, first_id) = append("a", 1, None);
    assert!(matches!(journal.append(first).await, Ok(Appended::Done { .. })));
    // The same version, another event: what a refused speculation leaves behind.
    let (second, _) = append("a", 2, Some(new_id()));
    assert_eq!(journal.append(second).await, Ok(Appended::Conflict));
    let (second, _) = append("a", 2, Some(first_id));
    assert!(matches!(journal.append(second).await, Ok(Appended::Done { .. })));
}

#[tokio::test]
async fn what_was_decided_on_a_refused_command_is_refused_and_its_neighbours_are_not() {
    let database = Database::new().await;
    let journal = database.journal();
    let (wrong, wrong_id) = append("a", 1, Some(new_id()));
    let (on_top, on_top_id) = append("a", 2, Some(wrong_id));
    let (on_top_of_that, _) = append("a", 3, Some(on_top_id));
    let (neighbour, _) = append("b", 1, None);
    let outcomes = tokio::join!(
        journal.append(wrong),
        journal.append(on_top),
        journal.append(on_top_of_that),
        journal.append(neighbour),
    );
    assert_eq!(outcomes.0, Ok(Appended::Conflict));
    assert_eq!(outcomes.1, Ok(Appended::Conflict));
    assert_eq!(outcomes.2, Ok(Appended::Conflict));
    assert!(matches!(outcomes.3, Ok(Appended::Done { .. })));
    assert_eq!(database.events().await.len(), 1);
}

#[tokio::test]
async fn a_refusal_decided_on_stale_state_is_caught() {
    let database = Database::new().await;
    let journal = database.journal();
    let (first, first_id) = append("a", 1, None);
    journal.append(first).await.expect("the journal is up");
    let (mut refusal, _) = append("a", 2, None);
    refusal.events.clear();
    assert_eq!(journal.append(refusal.clone()).await, Ok(Appended::Conflict));
    refusal.expectations = append("a", 2, Some(first_id)).0.expectations;
    assert_eq!(
        journal.append(refusal).await,
        Ok(Appended::Done { positions: None, head: FIRST, recorded_at: None }),
        "a command without events answers the head's position"
    );
}

fn tag(value: &str) -> Tag {
    Tag { name: "colour", value: value.to_owned(), person_id: None }
}

/// A new stream whose event has the tag, if none has it behind `after`.
fn tagged(id: &str, value: &str, after: u64) -> Append {
    let (mut append, _) = append(id, 1, None);
    append.events[0].tags.push(tag(value));
    append
        .expectations
        .push(Expectation::Untagged { tag: tag(value), after: Position::new(after) });
    append
}

async fn tags(database: &Database) -> Vec<(String, i64)> {
    sqlx::query_as("select tag, position from event_tags order by position, tag")
        .fetch_all(&database.pool)
        .await
        .expect("a query")
}

#[tokio::test]
async fn what_was_decided_in_the_belief_that_no_event_has_a_tag_is_refused_when_one_has() {
    let database = Database::new().await;
    let (journal, other) = (database.journal(), database.journal());
    let done = |outcome: Result<Appended, AppendError>| match outcome {
        Ok(Appended::Done { positions, .. }) => {
            positions.map(|(first, last)| (first.get(), last.get()))
        }
        _ => None,
    };
    assert_eq!(done(journal.append(tagged("a", "red", 0)).await), Some((1, 1)));
    assert_eq!(other.append(tagged("b", "red", 0)).await, Ok(Appended::Conflict));
    assert_eq!(done(other.append(tagged("b", "blue", 0)).await), Some((2, 2)));
    assert_eq!(done(other.append(tagged("c", "red", 1)).await), Some((3, 3)));
    // Also who writes nothing, and who writes something else.
    let mut refusal = tagged("d", "red", 1);
    refusal.events.clear();
    assert_eq!(journal.append(refusal.clone()).await, Ok(Appended::Conflict));
    refusal.expectations = tagged("d", "red", 3).expectations;
    assert!(matches!(journal.append(refusal).await, Ok(Appended::Done { positions: None, .. })));
    let expected = [("colour:red", 1), ("colour:blue", 2), ("colour:red", 3)];
    assert_eq!(tags(&database).await, expected.map(|(tag, position)| (tag.to_owned(), position)));
}

#[tokio::test]
async fn commands_of_one_batch_do_not_share_a_tag_that_only_one_may_have() {
    let database = Database::new().await;
    let journal = database.journal();
    // While the lock is held everything gathers into one batch; a stale neighbour makes it go the long way.
    for (round, stale) in [("1", false), ("2", true)] {
        let mut lock = database.pool.begin().await.expect("the database is up");
        let take = sqlx::query("select pg_advisory_xact_lock($1)").bind(domain::locks::APPEND);
        take.execute(&mut *lock).await.expect("nobody has it for long");
        let id = |name: &str| format!("{round}-{name}");
        let (first, _) = append(&id("first"), 1, None);
        let (neighbour, _) = append(&id("stale"), 2, stale.then(new_id));
        let neighbour = Append { events: vec![], ..neighbour };
        let all = async {
            tokio::join!(
                journal.append(first),
                journal.append(neighbour),
                journal.append(tagged(&id("a"), round, 0)),
                journal.append(tagged(&id("b"), round, 0)),
                journal.append(tagged(&id("c"), &id("other"), 0)),
            )
        };
        let let_go = async {
            // All have been handed over by now: the writer was the last to be asked.
            eventually("the writer waits for the lock", async || {
                let waiting = "select exists (select from pg_locks join pg_database d on d.oid = database \
                               where datname = current_database() and locktype = 'advisory' and not granted)";
                sqlx::query_scalar::<_, bool>(waiting).fetch_one(&database.pool).await.unwrap_or(false)
            })
            .await;
            lock.commit().await.expect("the database is up");
        };
        let (outcomes, ()) = tokio::join!(all, let_go);
        assert_eq!(outcomes.1 == Ok(Appended::Conflict), stale);
        assert!(matches!(outcomes.2, Ok(Appended::Done { .. })), "{:?}", outcomes.2);
        assert_eq!(outcomes.3, Ok(Appended::Conflict));
        assert!(matches!(outcomes.4, Ok(Appended::Done { .. })), "{:?}", outcomes.4);
    }
    // Every tag is at its own event.
    let misplaced: i64 = sqlx::query_scalar(
        "select count(*) from event_tags g join events e using (position) \
         where not e.aggregate_id in ('1-a', '1-c', '2-a', '2-c') \
            or (g.tag like '%-other') <> (e.aggregate_id like '%-c')",
    )
    .fetch_one(&database.pool)
    .await
    .expect("a query");
    assert_eq!((misplaced, tags(&database).await.len()), (0, 4));
}

#[tokio::test]
async fn a_known_key_answers_its_first_outcome_whatever_is_decided_now() {
    let database = Database::new().await;
    let journal = database.journal();
    let keyed =
        Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{\"a\":1}".to_owned()) };
    let (mut first, _) = append("a", 1, None);
    first.keyed = Some(keyed.clone());
    // At once and afterwards, with events, without, and on wrong expectations.
    let (mut at_once, _) = append("a", 1, None);
    at_once.keyed = Some(keyed.clone());
    let (mut stale, _) = append("a", 9, Some(new_id()));
    stale.keyed = Some(Keyed { outcome: Some("{\"other\":2}".to_owned()), ..keyed.clone() });
    let (mut refusal, _) = append("a", 2, None);
    refusal.events.clear();
    refusal.keyed = Some(keyed);

    let (first, at_once) = tokio::join!(journal.append(first), journal.append(at_once));
    let Ok(Appended::Done {
        positions: Some((FIRST, FIRST)),
        head: FIRST,
        recorded_at: Some(recorded_at),
    }) = first
    else {
        panic!("a fresh key on an empty journal: {first:?}");
    };
    let replay = Appended::Replay(FirstOutcome {
        positions: Some((FIRST, FIRST)),
        head: FIRST,
        fingerprint: Some([7; 32]),
        outcome: "{\"a\":1}".to_owned(),
        recorded_at,
    });
    assert_eq!(at_once, Ok(replay.clone()));
    assert_eq!(journal.append(stale).await, Ok(replay.clone()));
    assert_eq!(journal.append(refusal).await, Ok(replay));
    assert_eq!(database.events().await.len(), 1);
}

#[tokio::test]
async fn a_key_keeps_that_there_was_nothing_to_do_and_not_that_it_was_refused() {
    let database = Database::new().await;
    let journal = database.journal();
    let (first, first_id) = append("a", 1, None);
    journal.append(first).await.expect("the journal is up");
    let without_events = |outcome: Option<&str>, key| {
        let (mut command, _) = append("a", 2, Some(first_id));
        command.events.clear();
        let outcome = outcome.map(str::to_owned);
        command.keyed = Some(Keyed { key, fingerprint: [7; 32], outcome });
        command
    };
    let (nothing, refused) = (new_id(), new_id());
    let done = Appended::Done { positions: None, head: FIRST, recorded_at: None };
    assert_eq!(journal.append(without_events(Some("{}"), nothing)).await, Ok(done.clone()));
    assert_eq!(journal.append(without_events(None, refused)).await, Ok(done.clone()));

    // The stream goes on, so that neither could be decided as it was.
    let (second, second_id) = append("a", 2, Some(first_id));
    journal.append(second).await.expect("the journal is up");
    let replayed = journal.append(without_events(Some("{}"), nothing)).await;
    let Ok(Appended::Replay(FirstOutcome { positions: None, head: FIRST, outcome, .. })) = replayed
    else {
        panic!("it had nothing to do when the head was 1: {replayed:?}");
    };
    assert_eq!(outcome, "{}");
    let refusal = journal.append(without_events(None, nothing)).await;
    assert!(matches!(refusal, Ok(Appended::Replay(_))), "a known key wins: {refusal:?}");
    assert_eq!(journal.append(without_events(None, refused)).await, Ok(Appended::Conflict));

    // In one batch with others, with and without events, and after a conflict among them.
    let wrong = append("b", 1, Some(new_id())).0;
    let keyed =
        || Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{}".to_owned()) });
    let third = Append { keyed: keyed(), ..append("a", 3, Some(second_id)).0 };
    let beside = Append { keyed: keyed(), ..Append::default() };
    let again = [third.clone(), beside.clone()];
    let (third, beside, wrong) =
        tokio::join!(journal.append(third), journal.append(beside), journal.append(wrong));
    assert!(
        matches!(third, Ok(Appended::Done { positions: Some((THIRD, THIRD)), .. })),
        "{third:?}"
    );
    assert_eq!(beside, Ok(Appended::Done { positions: None, head: THIRD, recorded_at: None }));
    assert_eq!(wrong, Ok(Appended::Conflict));
    for (again, positions) in again.into_iter().zip([Some((THIRD, THIRD)), None]) {
        let replayed = journal.append(again).await;
        let Ok(Appended::Replay(FirstOutcome { positions: at, head: THIRD, .. })) = replayed else {
            panic!("both are known: {replayed:?}");
        };
        assert_eq!(at, positions);
    }
}

#[tokio::test]
async fn what_was_decided_on_a_known_key_with_a_stale_expectation_is_refused_to_the_end() {
    let database = Database::new().await;
    let journal = database.journal();
    let keyed = Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{}".to_owned()) };
    let (mut first, _) = append("a", 1, None);
    first.keyed = Some(keyed.clone());
    journal.append(first).await.expect("the journal is up");
    // Its client asks again where nobody knows of the first time, and others build on that.
    let (mut again, again_id) = append("a", 1, None);
    again.keyed = Some(keyed);
    let (on_top, on_top_id) = append("a", 2, Some(again_id));
    let (on_top_of_that, on_top_of_that_id) = append("a", 3, Some(on_top_id));
    let (last, _) = append("a", 4, Some(on_top_of_that_id));
    let outcomes = tokio::join!(
        journal.append(again),
        journal.append(on_top),
        journal.append(on_top_of_that),
        journal.append(last),
    );
    assert!(matches!(outcomes.0, Ok(Appended::Replay(_))));
    assert_eq!(outcomes.1, Ok(Appended::Conflict));
    assert_eq!(outcomes.2, Ok(Appended::Conflict));
    assert_eq!(outcomes.3, Ok(Appended::Conflict));
    assert_eq!(database.events().await.len(), 1);
}

#[tokio::test]
async fn several_aggregates_are_all_or_nothing() {
    let database = Database::new().await;
    let journal = database.journal();
    let (taken, _) = append("b", 1, None);
    journal.append(taken).await.expect("the journal is up");
    let (mut both, _) = append("a", 1, None);
    let (other, _) = append("b", 1, None);
    both.expectations.extend(other.expectations);
    both.events.extend(other.events);
    assert_eq!(journal.append(both).await, Ok(Appended::Conflict));
    assert_eq!(database.events().await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_alone() {
    let database = Database::new().await;
    let journal = database.journal();
    let (mut large, _) = append("a", 1, None);
    large.events[0].payload = format!("\"{}\"", "x".repeat(600 * 1024));
    let (mut nul, _) = append("b", 1, None);
    nul.events[0].payload = "\"\\u0000\"".to_owned();
    // This one passes our checks and only the database refuses it.
    let (mut no_json, _) = append("c", 1, None);
    no_json.events[0].payload = "no json".to_owned();
    let (good, _) = append("d", 1, None);
    let outcomes = tokio::join!(
        journal.append(large),
        journal.append(nul),
        journal.append(no_json),
        journal.append(good),
    );
    assert!(matches!(outcomes.0, Err(AppendError::Unstorable(_))));
    assert!(matches!(outcomes.1, Err(AppendError::Unstorable(_))));
    assert!(matches!(outcomes.2, Err(AppendError::Unstorable(_))));
    assert!(matches!(outcomes.3, Ok(Appended::Done { .. })));
    database.assert_gap_free().await;
}

#[tokio::test]
async fn a_connection_cut_at_any_moment_loses_and_doubles_nothing() {
    let database = Database::new().await;
    let journal = database.journal();
    let killer = {
        let pool = database.pool.clone();
        async move {
            for _ in 0..40 {
                sqlx::query(
                    "select pg_terminate_backend(pid) from pg_stat_activity \
                     where application_name = 'gomall journal' and datname = current_database()",
                )
                .execute(&pool)
                .await
                .expect("a superuser may end backends");
                tokio::task::yield_now().await;
            }
        }
    };
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..16 {
        let journal = journal.clone();
        clients.spawn(async move {
            let mut head = None;
            for sequence in 1..=40 {
                let (command, event_id) = append(&format!("c{client}"), sequence, head);
                let done = journal.append(command).await;
                assert!(
                    matches!(done, Ok(Appended::Done { positions: Some(_), .. })),
                    "a cut connection is not the client's business: {done:?}"
                );
                head = Some(event_id);
            }
        });
    }
    let ((), _) = tokio::join!(killer, clients.join_all());
    database.assert_gap_free().await;
    assert_eq!(database.events().await.len(), 16 * 40);
}

#[tokio::test]
async fn keys_are_forgotten_a_week_at_a_time_after_thirty_days_and_not_before() {
    let database = Database::new().await;
    let journal = database.journal();
    let key = new_id();
    let keyed = Keyed { key, fingerprint: [7; 32], outcome: Some("{}".to_owned()) };
    let (mut first, _) = append("a", 1, None);
    first.keyed = Some(keyed.clone());
    journal.append(first).await.expect("the journal is up");
    let known = |days: i32| {
        let pool = database.pool.clone();
        async move {
            sqlx::query("select command_outcomes_maintain(now(), make_interval(days => 30 - $1))")
                .bind(days)
                .execute(&pool)
                .await
                .expect("maintenance works at any time");
            let known: i64 = sqlx::query_scalar("select count(*) from command_outcomes")
                .fetch_one(&pool)
                .await
                .expect("the outcomes are readable");
            known
        }
    };
    assert_eq!((known(0).await, known(29).await, known(30).await), (1, 1, 1));
    assert_eq!(known(38).await, 0, "the week is over, and so are the thirty days");

    // The key is fresh again; what it created once still cannot be created twice.
    let (mut again, _) = append("a", 1, None);
    again.keyed = Some(keyed);
    assert_eq!(journal.append(again).await, Ok(Appended::Conflict));
}

#[tokio::test]
async fn no_key_is_forgotten_by_a_clock_that_is_ahead() {
    let database = Database::new().await;
    let (mut first, _) = append("a", 1, None);
    first.keyed =
        Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{}".to_owned()) });
    database.journal().append(first).await.expect("the journal is up");
    let known: i64 = sqlx::query_scalar(
        "select count(*) from command_outcomes, \
           command_outcomes_maintain(now() + interval '60 days', interval '30 days')",
    )
    .fetch_one(&database.pool)
    .await
    .expect("maintenance works at any time");
    assert_eq!(known, 1);
}

#[tokio::test]
async fn nobody_waits_for_partitions_beside_somebody_who_reads_for_long() {
    /// The function waits for 50 ms; what it would be behind a reader is for ever.
    const SOON: Duration = Duration::from_secs(5);
    let database = Database::new().await;
    let journal = database.journal();
    let mut dump = database.pool.begin().await.expect("there is a connection");
    let read = "lock table command_outcomes in access share mode";
    sqlx::query(read).execute(&mut *dump).await.expect("it can be read");

    // As if the thirty days and more had gone: everything is to be dropped.
    let maintain = "select command_outcomes_maintain(now(), interval '-60 days')";
    let (refused, written) = tokio::time::timeout(SOON, async {
        let mut keyed = append("a", 1, None).0;
        keyed.keyed =
            Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{}".to_owned()) });
        journal.append(append("b", 1, None).0).await.expect("the journal is up");
        tokio::join!(sqlx::query(maintain).execute(&database.pool), journal.append(keyed))
    })
    .await
    .expect("nobody waits for the dump");
    let refused = refused.expect_err("the dump reads what is to be dropped");
    let code = refused.as_database_error().and_then(|error| error.code());
    assert_eq!(code.as_deref(), Some("55P03"), "{refused}");
    assert!(matches!(written, Ok(Appended::Done { .. })), "{written:?}");

    dump.rollback().await.expect("it ends");
    sqlx::query(maintain).execute(&database.pool).await.expect("nobody is in the way");
    let mut another = database.pool.begin().await.expect("there is a connection");
    let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(domain::locks::OUTCOMES);
    lock.execute(&mut *another).await.expect("nobody has it");
    let beside = tokio::time::timeout(SOON, sqlx::query(maintain).execute(&database.pool)).await;
    beside.expect("another process is at it").expect("there is nothing left to do");
}

#[tokio::test]
async fn a_command_of_a_week_without_a_partition_is_recorded_all_the_same() {
    let database = Database::new().await;
    sqlx::query(
        "do $$ declare t text; begin \
         for t in select relname from pg_class where relname ~ '^command_outcomes_[0-9]{8}$' \
         loop execute format('drop table %I', t); end loop; end $$",
    )
    .execute(&database.pool)
    .await
    .expect("the owner may drop partitions");
    let journal = database.journal();
    let (mut first, _) = append("a", 1, None);
    first.keyed =
        Some(Keyed { key: new_id(), fingerprint: [7; 32], outcome: Some("{}".to_owned()) });
    let again = first.clone();
    assert!(matches!(journal.append(first).await, Ok(Appended::Done { .. })));
    assert!(matches!(journal.append(again).await, Ok(Appended::Replay(_))));
    sqlx::query("select command_outcomes_maintain(now(), interval '30 days')")
        .execute(&database.pool)
        .await
        .expect("a week whose rows are in the default partition is left alone");
}

#[tokio::test]
async fn what_must_be_unchanged_is_compared_with_neighbours_of_the_same_batch_too() {
    let database = Database::new().await;
    let journal = database.journal();
    let (one, one_id) = append("one", 1, None);
    let (two, two_id) = append("two", 1, None);
    journal.append(one).await.expect("the journal is up");
    journal.append(two).await.expect("the journal is up");
    // Each changes one stream and was decided on the other as it is.
    let (mut one, _) = append("one", 2, Some(one_id));
    let (mut two, _) = append("two", 2, Some(two_id));
    one.expectations.extend(two.expectations.clone());
    two.expectations.push(one.expectations[0].clone());
    let outcomes = tokio::join!(journal.append(one), journal.append(two));
    assert!(matches!(outcomes.0, Ok(Appended::Done { .. })));
    assert_eq!(outcomes.1, Ok(Appended::Conflict));
    assert_eq!(database.events().await.len(), 3);
}

#[tokio::test]
async fn two_decisions_on_the_same_state_in_one_batch_cost_the_second_a_conflict() {
    let database = Database::new().await;
    let journal = database.journal();
    let ((first, _), (second, _), (neighbour, _)) =
        (append("a", 1, None), append("a", 1, None), append("b", 1, None));
    let outcomes =
        tokio::join!(journal.append(first), journal.append(second), journal.append(neighbour));
    assert!(matches!(outcomes.0, Ok(Appended::Done { .. })));
    assert_eq!(outcomes.1, Ok(Appended::Conflict));
    assert!(matches!(outcomes.2, Ok(Appended::Done { .. })));
}

/// What a filter lets pass.
fn passes(filter: &Filter, event: &RecordedEvent) -> bool {
    let types = &filter.event_types;
    (types.is_empty() || types.contains(&event.event_type))
        && filter.aggregate_type.as_ref().is_none_or(|of| *of == event.aggregate_type)
        && filter.aggregate_id.as_ref().is_none_or(|of| *of == event.aggregate_id)
        && filter.until.is_none_or(|until| event.position <= until)
}

#[tokio::test]
async fn a_report_finds_its_events_without_reading_the_others() {
    const EVENTS: u64 = 100_000;
    /// Three blocks of 4,096 through an index, far less than there is: two for what stands in two places, and
    /// the last one, which is not full.
    const MOST_READ: i64 = 2 * 3 * 4_096;
    let database = Database::new().await;
    sqlx::query(
        "insert into events \
         select n, kind, (n % 997)::text, n, type, '1', '{}', '{}', gen_random_uuid(), now() \
         from generate_series(1, $1) n, lateral (select \
           case when n % 10 = 0 then 'order' else 'cart' end as kind, \
           case when n in (50, 70000) then 'OrderRepainted' when n = 80000 then 'OrderCancelled' when n % 20 = 0 then 'OrderPaid' \
                when n % 10 = 0 then 'OrderPlaced' when n % 3 = 0 then 'CartOpened' \
                else 'ItemAdded' end as type) made",
    )
    .bind(EVENTS.cast_signed())
    .execute(&database.pool)
    .await
    .expect("nobody else writes");
    assert_eq!(summarize(&database.pool).await.expect("it can be done"), EVENTS / 4_096);
    assert_eq!(summarize(&database.pool).await.expect("it can be done"), 0, "once each");
    sqlx::query("analyze events").execute(&database.pool).await.expect("it can be done");
    // One connection, which tells what it has read itself.
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_with(database.options.clone()).await.expect("it is up");
    let reader = JournalReader::new(pool.clone(), watch::channel(Position::START).1);
    let all: Vec<_> =
        reader.export(Position::START, Filter::default()).try_collect().await.expect("readable");
    assert_eq!(all.len() as u64, EVENTS);
    let read = async || -> i64 {
        sqlx::query("select pg_stat_force_next_flush()").execute(&pool).await.expect("a query");
        sqlx::query_scalar(
            "select (t.seq_tup_read + t.idx_tup_fetch + i.read)::bigint from pg_stat_user_tables t, \
               lateral (select sum(idx_tup_read) as read from pg_stat_user_indexes \
                        where relid = t.relid) i where t.relname = 'events'",
        )
        .fetch_one(&pool)
        .await
        .expect("a query")
    };
    let types = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let filters = [
        Filter { event_types: types(&["OrderCancelled"]), ..Filter::default() },
        Filter { event_types: types(&["OrderDelivered"]), ..Filter::default() },
        Filter {
            event_types: types(&["OrderCancelled"]),
            aggregate_type: Some("cart".to_owned()),
            ..Filter::default()
        },
        Filter { event_types: types(&["OrderPaid", "CartOpened"]), ..Filter::default() },
        Filter { aggregate_type: Some("order".to_owned()), ..Filter::default() },
        Filter { aggregate_type: Some("policy".to_owned()), ..Filter::default() },
        Filter { aggregate_id: Some("90".to_owned()), ..Filter::default() },
        Filter { aggregate_id: Some("none".to_owned()), ..Filter::default() },
        Filter {
            event_types: types(&["OrderPaid", "CartOpened"]),
            aggregate_type: Some("cart".to_owned()),
            aggregate_id: Some("90".to_owned()),
            until: Some(Position::new(EVENTS / 2)),
        },
        Filter { until: Some(Position::new(EVENTS / 2 + 3)), ..Filter::default() },
    ];
    for filter in filters {
        for after in [0, EVENTS / 2, EVENTS - 100, EVENTS].map(Position::new) {
            let expected = all.iter().filter(|event| event.position > after);
            let expected: Vec<_> = expected.filter(|event| passes(&filter, event)).collect();
            let before = read().await;
            let page = reader.page(after, 50, &filter).await.expect("it is readable");
            let page_read = read().await - before;
            assert_eq!(page.iter().collect::<Vec<_>>(), expected[..expected.len().min(50)]);
            assert!(page_read <= MOST_READ, "{page_read} for {filter:?} after {after}");
            let exported: Vec<_> =
                reader.export(after, filter.clone()).try_collect().await.expect("it is readable");
            assert_eq!(exported.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn a_report_of_types_is_whole_whatever_is_known_of_blocks() {
    let database = Database::new().await;
    sqlx::query(
        "insert into events select n, 'order', n::text, 1, \
           case when n % 1999 = 0 then 'OrderPaid' else 'OrderPlaced' end, \
           '1', '{}', '{}', gen_random_uuid(), now() from generate_series(5000, 30000) n",
    )
    .execute(&database.pool)
    .await
    .expect("nobody else writes");
    let reader = JournalReader::new(database.pool.clone(), watch::channel(Position::START).1);
    let paid = Filter { event_types: vec!["OrderPaid".to_owned()], ..Filter::default() };
    let positions = async |after, limit| {
        let page = reader.page(Position::new(after), limit, &paid).await;
        let page = page.expect("it is readable");
        page.iter().map(|event| event.position.get()).collect::<Vec<_>>()
    };
    let expected: Vec<u64> = (3..=15).map(|n| n * 1999).collect();
    // Nothing is known of any block; of the full ones; of some that are gone in front.
    for known in 0..3 {
        match known {
            1 => drop(summarize(&database.pool).await.expect("it can be done")),
            2 => drop(
                sqlx::query("delete from event_blocks where block < 3")
                    .execute(&database.pool)
                    .await
                    .expect("it can be done"),
            ),
            _ => {}
        }
        assert_eq!(positions(0, 100).await, expected);
        assert_eq!(positions(0, 4).await, expected[..4]);
        assert_eq!(positions(5 * 1999, 4).await, expected[3..7]);
        assert_eq!(positions(10 * 1999 - 1, 100).await, expected[7..]);
    }
}
