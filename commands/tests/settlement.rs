//! Payments in the air, on a real journal with an event that nobody can read.

mod support;

use commands::journal::{Append, Appended, Expectation, NewEvent};
use commands::payments::{Charge, PaymentProvider, ProviderAnswer, settlement};
use compose::testing::eventually;
use domain::payment::PaymentEvent;
use domain::{PaymentId, StreamKey, encode_event};
use sqlx::PgPool;
use std::sync::Arc;
use support::{Database, Running};
use testkit::{new_id, usd};
use uuid::Uuid;

/// A provider that is away: nothing here is about its answers.
struct Away;

impl PaymentProvider for Away {
    async fn charge(&self, _: Charge) -> ProviderAnswer {
        ProviderAnswer::Unavailable
    }

    async fn query(&self, _: PaymentId) -> ProviderAnswer {
        ProviderAnswer::Unavailable
    }

    async fn cancel(&self, _: PaymentId) -> ProviderAnswer {
        ProviderAnswer::Unavailable
    }
}

/// A process that settles payments.
async fn settling(database: &Database) -> Running {
    let bus = Arc::new(database.bus());
    database.process(|tail, stop| settlement::run(bus, Arc::new(Away), tail, stop)).await
}

/// What goes wrong is in the tests' hands: an event of a payment as the first or next of its stream.
async fn record(
    database: &Database,
    payment_id: PaymentId,
    sequence: u64,
    head: Option<Uuid>,
    payload: &str,
) -> Uuid {
    let stream = StreamKey { aggregate_type: "payment", aggregate_id: payment_id.to_string() };
    let event_id = new_id();
    let event_type = if sequence == 1 { "PaymentRequested" } else { "PaymentVoided" };
    let event = NewEvent {
        stream: stream.clone(),
        sequence,
        event_type: event_type.to_owned(),
        event_version: "1".to_owned(),
        payload: payload.to_owned(),
        metadata: "{}".to_owned(),
        event_id,
        tags: vec![],
    };
    let expectations = vec![Expectation::Head { stream, head }];
    let append = Append { expectations, events: vec![event], keyed: None };
    let appended = database.journal().append(append).await.expect("the writer runs");
    assert!(matches!(appended, Appended::Done { .. }), "the stream is as it should be");
    event_id
}

fn requested() -> String {
    let requested = PaymentEvent::PaymentRequested {
        order_id: new_id(),
        customer_id: new_id(),
        amount: usd(100),
        method: "card".to_owned(),
    };
    encode_event(&requested).expect("events can be written as JSON")
}

async fn shows(pool: &PgPool, query: &str, expected: &str) {
    let looked = async || {
        let found: Option<String> =
            sqlx::query_scalar(query).fetch_one(pool).await.expect("a query");
        (found.unwrap_or_default() == expected).then_some(())
    };
    eventually(&format!("{query}: {expected:?}"), looked).await;
}

const LETTERS: &str = "select string_agg(consumer || '.' || position || ' ' || status || ' ' || attempts, ', ' \
     order by position) from dead_letters where not retry";
const IN_THE_AIR: &str = "select string_agg(key, ', ' order by set_at) from process_timers";

#[tokio::test]
async fn a_payment_that_cannot_be_read_waits_and_the_others_go_on() {
    let database = Database::new().await;
    let (damaged, healthy) = (new_id(), new_id());
    let first = record(&database, damaged, 1, None, r#"{"order_id":17}"#).await;
    record(&database, damaged, 2, Some(first), "{}").await;
    record(&database, healthy, 1, None, &requested()).await;

    let running = settling(&database).await;
    shows(&database.pool, IN_THE_AIR, &healthy.to_string()).await;
    shows(&database.pool, LETTERS, "settlement.1 failed 1, settlement.2 waiting 0").await;

    // Without a cure a retry changes nothing but the count.
    let retry = async || {
        sqlx::query("update dead_letters set retry = true where status <> 'given_up'")
            .execute(&database.pool)
            .await
            .expect("a query");
    };
    retry().await;
    shows(&database.pool, LETTERS, "settlement.1 failed 2, settlement.2 waiting 0").await;

    // With one (here another event, usually another build) the payment is taken in, in order: it is
    // asked for and then voided, so nothing of it is left in the air.
    sqlx::query("update events set payload = $1::json where position = 1")
        .bind(requested())
        .execute(&database.pool)
        .await
        .expect("nobody else mends it");
    retry().await;
    shows(&database.pool, LETTERS, "").await;
    shows(&database.pool, IN_THE_AIR, &healthy.to_string()).await;
    running.stop().await;
}

#[tokio::test]
async fn payments_of_a_history_that_is_gone_are_not_settled_and_the_others_are() {
    let database = Database::new().await;
    let (kept, lost) = (new_id(), new_id());
    record(&database, kept, 1, None, &requested()).await;
    record(&database, lost, 1, None, &requested()).await;
    let running = settling(&database).await;
    shows(&database.pool, IN_THE_AIR, &format!("{kept}, {lost}")).await;

    // The rows are ahead of the journal, as when a memory was taken in after a fail-over.
    sqlx::query("delete from events where position = 2")
        .execute(&database.pool)
        .await
        .expect("nobody protects it");
    shows(&database.pool, IN_THE_AIR, &kept.to_string()).await;
    let new = new_id();
    record(&database, new, 1, None, &requested()).await;
    shows(&database.pool, IN_THE_AIR, &format!("{kept}, {new}")).await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_newer_build_wrote_is_taken_in_once_a_build_knows_it() {
    let database = Database::new().await;
    let (new, damaged) = (new_id(), new_id());
    record(&database, new, 1, None, &requested()).await;
    record(&database, damaged, 1, None, r#"{"order_id":17}"#).await;
    let version = async |version: &str| {
        sqlx::query("update events set event_version = $1 where position = 1")
            .bind(version)
            .execute(&database.pool)
            .await
            .expect("nobody protects it");
    };
    version("99").await;
    let older = settling(&database).await;
    shows(&database.pool, LETTERS, "settlement.1 failed 1, settlement.2 failed 1").await;
    older.stop().await;

    version("1").await;
    let newer = settling(&database).await;
    shows(&database.pool, LETTERS, "settlement.2 failed 1").await;
    shows(&database.pool, IN_THE_AIR, &new.to_string()).await;
    newer.stop().await;
}
