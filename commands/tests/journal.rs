//! The journal's promises, on a real PostgreSQL.

mod support;

use commands::journal::{
    Append, AppendError, Appended, FirstOutcome, JournalReader, Keyed, MAX_EVENT_BYTES, Tail,
};
use domain::{Cursor, EventSource, Filter};
use futures::TryStreamExt;
use std::collections::HashSet;
use support::{Database, append, new_id};
use tokio_util::sync::CancellationToken;

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
        .map(|(position, _, _, event_id)| (u64::try_from(position).expect("positive"), event_id))
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
    tail.head().wait_for(|head| *head == EVENTS).await.expect("it follows");
    let from_the_database = batches(&reader).await;
    let from_memory = batches(&tail).await;
    assert_eq!(from_the_database.concat(), (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(from_memory, from_the_database, "whoever delivers them");
    // Sixteen of a little less than 512 KiB do not make 8 MiB, seventeen do.
    assert_eq!(from_memory.iter().map(Vec::len).collect::<Vec<_>>(), [17, 7]);
    let page = reader.page(0, 1_000, &Filter::default()).await.expect("it is readable");
    assert_eq!(page.len(), 17, "a page is a batch");
    let exported = reader.export(0, Filter::default()).try_fold(0, async |count, _| Ok(count + 1));
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
        batches.push(events.iter().map(|event| event.position).collect());
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
    refusal.expectations[0].head = Some(first_id);
    assert_eq!(
        journal.append(refusal).await,
        Ok(Appended::Done { positions: None, head: 1, recorded_at: None }),
        "a command without events answers the head's position"
    );
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
    let Ok(Appended::Done { positions: Some((1, 1)), head: 1, recorded_at: Some(recorded_at) }) =
        first
    else {
        panic!("a fresh key on an empty journal: {first:?}");
    };
    let replay = Appended::Replay(FirstOutcome {
        positions: Some((1, 1)),
        head: 1,
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
    let done = Appended::Done { positions: None, head: 1, recorded_at: None };
    assert_eq!(journal.append(without_events(Some("{}"), nothing)).await, Ok(done.clone()));
    assert_eq!(journal.append(without_events(None, refused)).await, Ok(done.clone()));

    // The stream goes on, so that neither could be decided as it was.
    let (second, second_id) = append("a", 2, Some(first_id));
    journal.append(second).await.expect("the journal is up");
    let replayed = journal.append(without_events(Some("{}"), nothing)).await;
    let Ok(Appended::Replay(FirstOutcome { positions: None, head: 1, outcome, .. })) = replayed
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
    assert!(matches!(third, Ok(Appended::Done { positions: Some((3, 3)), .. })), "{third:?}");
    assert_eq!(beside, Ok(Appended::Done { positions: None, head: 3, recorded_at: None }));
    assert_eq!(wrong, Ok(Appended::Conflict));
    for (again, positions) in again.into_iter().zip([Some((3, 3)), None]) {
        let replayed = journal.append(again).await;
        let Ok(Appended::Replay(FirstOutcome { positions: at, head: 3, .. })) = replayed else {
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
            sqlx::query(
                "select command_outcomes_maintain(now() + make_interval(days => $1), interval '30 days')",
            )
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
