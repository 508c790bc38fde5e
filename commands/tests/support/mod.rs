//! A migrated database of the test's own, with a journal and a bus on it.

#![allow(dead_code, reason = "each test binary uses its part")]

use commands::bus::{Bus, Context, FingerprintKey, Plan, World};
use commands::journal::{
    Append, Expectation, Journal, JournalReader, NewEvent, Tail, WriterSettings,
};
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::{Description, Money, Position, ProductId, StreamKey, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use testkit::{name, new_id, reason, sku};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The real clock and real ids: these tests are the composition root of their process.
#[expect(clippy::disallowed_methods, reason = "the test is its own composition root")]
pub(crate) fn world() -> World {
    World { now: || time::OffsetDateTime::now_utc().into(), new_id: Uuid::now_v7 }
}

/// All processes of a test hold the same.
pub(crate) fn fingerprints() -> FingerprintKey {
    FingerprintKey::new(&[7; 32])
}

pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) options: PgConnectOptions,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let pool = testkit::pool().await;
        let options = PgConnectOptions::clone(&pool.connect_options());
        Self { pool, options }
    }

    pub(crate) fn journal(&self) -> Journal {
        self.journal_with(self.options.clone(), WriterSettings::default(), world().now)
    }

    /// A journal whose writer connects, gives up and tells the time in its own way.
    pub(crate) fn journal_with(
        &self,
        options: PgConnectOptions,
        settings: WriterSettings,
        now: fn() -> Timestamp,
    ) -> Journal {
        Journal::start(self.pool.clone(), options, settings, now).0
    }

    pub(crate) fn bus(&self) -> Bus {
        Bus::new(self.journal(), world(), fingerprints())
    }

    /// A process of its own, with its own eyes on the journal: nobody tells it of anything.
    pub(crate) async fn process<R: Future<Output = ()> + Send + 'static>(
        &self,
        run: impl FnOnce(Arc<Tail>, CancellationToken) -> R,
    ) -> Running {
        let stop = CancellationToken::new();
        let reader = JournalReader::new(self.pool.clone(), watch::channel(Position::START).1);
        let tail = Tail::start(reader, stop.clone()).await.expect("the journal is readable");
        let task = tokio::spawn(run(Arc::new(tail), stop.clone()));
        Running { stop, task }
    }

    /// How many timers are left.
    pub(crate) async fn timers(&self) -> i64 {
        sqlx::query_scalar("select count(*) from process_timers")
            .fetch_one(&self.pool)
            .await
            .expect("a query")
    }

    /// All events as `(position, stream, sequence, event id)`, in order.
    pub(crate) async fn events(&self) -> Vec<(i64, String, i64, Uuid)> {
        sqlx::query_as(
            "select position, aggregate_type || '/' || aggregate_id, sequence, event_id \
             from events order by position",
        )
        .fetch_all(&self.pool)
        .await
        .expect("the journal is readable")
    }

    /// Positions are 1, 2, 3, … and so are the sequences of every stream.
    pub(crate) async fn assert_gap_free(&self) {
        let mut sequences = std::collections::HashMap::<String, i64>::new();
        for (index, (position, stream, sequence, _)) in self.events().await.into_iter().enumerate()
        {
            assert_eq!(position, i64::try_from(index).expect("small") + 1, "a gap in the order");
            let last = sequences.entry(stream).or_default();
            assert_eq!(sequence, *last + 1, "a gap in a stream");
            *last = sequence;
        }
    }
}

/// A process at work; it goes on when this is dropped.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it does not panic");
    }
}

pub(crate) fn context() -> Context {
    Context {
        actor: "system:test".to_owned(),
        correlation_id: new_id(),
        causation_id: None,
        traceparent: None,
    }
}

pub(crate) fn stream(id: &str) -> StreamKey {
    StreamKey { aggregate_type: "test", aggregate_id: id.to_owned() }
}

/// One event at the end of `id`'s stream as the caller knows it.
pub(crate) fn append(id: &str, sequence: u64, head: Option<Uuid>) -> (Append, Uuid) {
    let event_id = new_id();
    let event = NewEvent {
        stream: stream(id),
        sequence,
        event_type: "Tested".to_owned(),
        event_version: "1".to_owned(),
        payload: "{}".to_owned(),
        metadata: "{}".to_owned(),
        event_id,
        tags: vec![],
    };
    let expectations = vec![Expectation::Head { stream: stream(id), head }];
    (Append { expectations, events: vec![event], keyed: None }, event_id)
}

/// A published product with one variant and stock.
pub(crate) async fn product(bus: &Bus, sku_text: &str, price: Money, stock: u32) -> ProductId {
    let product_id: ProductId = new_id();
    let number = i32::try_from(product_id.uuid().as_u128() & 0x3fff_ffff).expect("30 bits") + 1;
    let variant = Variant { sku: sku(sku_text), number, name: None };
    let create = ProductCommand::Create {
        name: name("Thing"),
        description: Description::parse("").expect("valid"),
        picture: None,
        categories: vec![],
        variants: vec![(variant, price)],
    };
    let plan = Plan::new(&context())
        .step::<Product>(&product_id, create)
        .step::<Product>(&product_id, ProductCommand::Publish)
        .step::<StockItem>(&sku(sku_text), StockCommand::Open { product_id })
        .step::<StockItem>(
            &sku(sku_text),
            StockCommand::Receive { quantity: stock, reason: reason("test") },
        );
    bus.execute(plan).await.expect("a fresh product can be created");
    product_id
}

/// A moment that every test of a day agrees on.
pub(crate) fn later() -> Timestamp {
    (world().now)().plus_seconds(900)
}
