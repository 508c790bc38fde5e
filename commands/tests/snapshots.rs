//! Snapshots: a cache of folded states that changes nothing but the time that a load takes.

mod support;

use commands::bus::{Bus, Loaded, Plan, RequestKey, fold};
use compose::testing::eventually;
use cqrs_es::Aggregate;
use cqrs_es::persist::PersistedEventRepository;
use domain::STATE_VERSION;
use domain::stock::{StockCommand, StockItem};
use postgres_es::PostgresEventRepository;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Database, context, fingerprints, later, world};
use testkit::{new_id, reason, sku};
use uuid::Uuid;

const SKU: &str = "LONG";

/// So far apart that none is taken unless a test writes it.
const NEVER: u64 = 1_000_000;

fn bus_with(database: &Database, every: u64) -> Bus {
    Bus::with_snapshots_every(every, database.journal(), world(), fingerprints())
}

async fn ask(bus: &Bus, command: StockCommand) {
    let plan = Plan::new(&context()).step::<StockItem>(&sku(SKU), command);
    bus.execute(plan).await.expect("nobody else changes it");
}

fn receive(quantity: u32) -> StockCommand {
    StockCommand::Receive { quantity, reason: reason("test") }
}

/// A stream of `events` events.
async fn stream_of(bus: &Bus, events: u32) {
    ask(bus, StockCommand::Open { product_id: Uuid::nil().into() }).await;
    for quantity in 1..events {
        ask(bus, receive(quantity)).await;
    }
}

/// What the events alone lead to, up to `version`.
async fn folded(database: &Database, version: u64) -> Loaded<StockItem> {
    let repository = PostgresEventRepository::new(database.pool.clone());
    let mut events = repository.get_events::<StockItem>(SKU).await.expect("readable");
    events.retain(|event| event.sequence as u64 <= version);
    fold(events).expect("our own events")
}

fn assert_same(left: &Loaded<StockItem>, right: &Loaded<StockItem>) {
    assert_eq!(left.state, right.state);
    assert_eq!((left.sequence, left.head), (right.sequence, right.head));
}

/// Puts a snapshot there, whatever there is.
async fn put(database: &Database, sequence: u64, event_id: Uuid, version: &str, state: &Value) {
    sqlx::query(
        "insert into aggregate_snapshots \
         (aggregate_type, aggregate_id, sequence, event_id, state_version, state) \
         values ($1, $2, $3, $4, $5, $6) \
         on conflict (aggregate_type, aggregate_id) do update \
         set sequence = excluded.sequence, event_id = excluded.event_id, \
             state_version = excluded.state_version, state = excluded.state",
    )
    .bind(StockItem::TYPE)
    .bind(SKU)
    .bind(sequence.cast_signed())
    .bind(event_id)
    .bind(version)
    .bind(state)
    .execute(&database.pool)
    .await
    .expect("the table is writable");
}

/// Sequence, event and state of the snapshot that there is.
async fn stored(database: &Database) -> Option<(i64, Uuid, Value)> {
    let row = "select sequence, event_id, state from aggregate_snapshots where state_version = $1";
    let row = sqlx::query_as(row).bind(STATE_VERSION).fetch_optional(&database.pool).await;
    row.expect("the table is readable")
}

/// Waits until the snapshot is that of `right`.
async fn assert_taken(database: &Database, right: &Loaded<StockItem>) {
    let state = serde_json::to_value(&right.state).expect("states encode");
    let right = (right.sequence.cast_signed(), right.head.expect("there are events"), state);
    let taken = || async { (stored(database).await.as_ref() == Some(&right)).then_some(()) };
    eventually("the snapshot is taken", taken).await;
}

fn any_command() -> impl Strategy<Value = StockCommand> {
    prop_oneof![
        (1..9_u32).prop_map(receive),
        (-3..3_i64).prop_map(|delta| StockCommand::Adjust { delta, reason: reason("test") }),
        (1..4_u128, 1..5_u32).prop_map(|(order, quantity)| StockCommand::Reserve {
            sku: sku(SKU),
            order_id: Uuid::from_u128(order).into(),
            quantity: domain::Quantity::new(quantity).expect("in range"),
            until: later(),
        }),
        (1..4_u128)
            .prop_map(|order| StockCommand::Commit { order_id: Uuid::from_u128(order).into() }),
    ]
}

#[tokio::test]
async fn a_load_with_a_snapshot_anywhere_is_the_load_without() {
    let database = Database::new().await;
    let bus = bus_with(&database, NEVER);
    let mut runner = TestRunner::default();
    let commands = prop::collection::vec(any_command(), 60).new_tree(&mut runner);
    ask(&bus, StockCommand::Open { product_id: Uuid::nil().into() }).await;
    // Every outcome's key leads back to the version that it left.
    let mut recorded = vec![];
    for command in commands.expect("nothing is filtered out").current() {
        let key = RequestKey { key: new_id(), fingerprint: [1; 32] };
        let plan = Plan::new(&context()).step::<StockItem>(&sku(SKU), command).keyed(Some(key));
        if let Ok(done) = bus.execute(plan).await
            && done.positions.is_some()
        {
            recorded.push((done.version(0), key));
        }
    }
    let newest = folded(&database, u64::MAX).await;
    for place in 1..=newest.sequence {
        let at = folded(&database, place).await;
        let state = serde_json::to_value(&at.state).expect("states encode");
        put(&database, place, at.head.expect("there are events"), STATE_VERSION, &state).await;
        assert_same(&bus.load(&sku(SKU)).await.expect("readable"), &newest);
        let (version, key) = recorded[usize::try_from(place * 7).expect("few") % recorded.len()];
        let again = Plan::new(&context()).look::<StockItem>(&sku(SKU)).keyed(Some(key));
        let then = bus.refuse(again).await.expect("readable").expect("it changed something");
        assert_same(&then.loaded(0), &folded(&database, version).await);
    }
}

#[tokio::test]
async fn a_snapshot_is_used_if_it_is_this_builds_and_its_event_is_there_and_replaced_otherwise() {
    let database = Database::new().await;
    let bus = bus_with(&database, 5);
    let without = bus_with(&database, NEVER);
    stream_of(&without, 9).await;
    let right = folded(&database, u64::MAX).await;
    assert_eq!(right.sequence, 9);
    let third = folded(&database, 3).await;
    let head = third.head.expect("there are events");
    // Nobody could have folded this from the events, so whoever sees it has read the snapshot.
    let wrong = json!({ "product_id": null, "on_hand": 77, "reserved": 0, "reservations": {} });
    put(&database, 3, head, STATE_VERSION, &wrong).await;
    let seen = without.load::<StockItem>(&sku(SKU)).await.expect("readable");
    assert_eq!(seen.state.on_hand, 77 + right.state.on_hand - third.state.on_hand);

    for (sequence, event_id, version, state) in [
        (3, head, "another build", &wrong),
        (3, new_id(), STATE_VERSION, &wrong),
        (4, head, STATE_VERSION, &wrong),
        (900, new_id(), STATE_VERSION, &wrong),
        (3, head, STATE_VERSION, &json!({ "on_hand": "many" })),
        (9, right.head.expect("there are events"), STATE_VERSION, &json!([])),
        (9, right.head.expect("there are events"), "another build", &wrong),
    ] {
        put(&database, sequence, event_id, version, state).await;
        assert_same(&bus.load(&sku(SKU)).await.expect("readable"), &right);
        assert_taken(&database, &right).await;
    }
}

#[tokio::test]
async fn decisions_and_loads_have_snapshots_taken_behind_their_backs() {
    let database = Database::new().await;
    let bus = bus_with(&database, 10);
    stream_of(&bus, 9).await;
    assert_eq!(stored(&database).await, None);
    ask(&bus, receive(1)).await;
    assert_taken(&database, &folded(&database, 10).await).await;
    assert_eq!(bus.counters().now().snapshots, 1);

    // Deleted at any time: the next load that misses it has it taken again.
    let delete = "delete from aggregate_snapshots";
    sqlx::query(delete).execute(&database.pool).await.expect("the owner may");
    let right = folded(&database, u64::MAX).await;
    assert_same(&bus.load(&sku(SKU)).await.expect("readable"), &right);
    assert_taken(&database, &right).await;
}

/// Several processes with cold caches write as many snapshots as they can, while somebody deletes
/// them all the time.
#[tokio::test]
async fn snapshots_only_go_forward_and_deleting_them_meanwhile_changes_nothing() {
    let database = Arc::new(Database::new().await);
    for statement in [
        "create table went_back (at bigint)",
        "create function note() returns trigger language plpgsql as $$ begin \
           insert into went_back select new.sequence where new.sequence < old.sequence; \
           return new; end $$",
        "create trigger note before update on aggregate_snapshots \
           for each row execute function note()",
    ] {
        sqlx::query(statement).execute(&database.pool).await.expect("the owner may");
    }
    ask(&bus_with(&database, 1), StockCommand::Open { product_id: Uuid::nil().into() }).await;
    let over = Arc::new(AtomicBool::new(false));
    let deleter = {
        let (database, over) = (Arc::clone(&database), Arc::clone(&over));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let delete = "delete from aggregate_snapshots where sequence % 7 = 0";
                sqlx::query(delete).execute(&database.pool).await.expect("the owner may");
                tokio::task::yield_now().await;
            }
        })
    };
    let mut processes = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let database = Arc::clone(&database);
        processes.spawn(async move {
            let journal = database.journal();
            let mut received = 0;
            for _ in 0..40 {
                let cold = Bus::with_snapshots_every(1, journal.clone(), world(), fingerprints());
                let plan = Plan::new(&context()).step::<StockItem>(&sku(SKU), receive(1));
                received += u64::from(cold.execute(plan).await.is_ok());
            }
            received
        });
    }
    let received: u64 = processes.join_all().await.into_iter().sum();
    over.store(true, Ordering::Relaxed);
    deleter.await.expect("deleting works at any time");
    let loaded = database.bus().load::<StockItem>(&sku(SKU)).await.expect("readable");
    assert_same(&loaded, &folded(&database, u64::MAX).await);
    assert_eq!(loaded.state.on_hand, received);
    let went_back: Vec<i64> = sqlx::query_scalar("select at from went_back")
        .fetch_all(&database.pool)
        .await
        .expect("rows");
    assert_eq!(went_back, [0; 0], "snapshots went back to these sequences");
}
