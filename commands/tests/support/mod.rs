//! A migrated database of the test's own, with a journal and a bus on it.

#![allow(dead_code, reason = "each test binary uses its part")]

use commands::bus::{Bus, Context, FingerprintKey, Plan, World};
use commands::journal::{Append, Expectation, Journal, NewEvent, WriterSettings};
use compose::testing::{TestDatabase, TestStack};
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::{Description, Money, Name, ProductId, Reason, Sku, StreamKey, Timestamp};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr;
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

pub(crate) fn new_id<Id: From<Uuid>>() -> Id {
    (world().new_id)().into()
}

pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) options: PgConnectOptions,
    _database: TestDatabase,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let stack = TestStack::shared().await;
        let database = stack.database_from("commands", migrate).await;
        let options = PgConnectOptions::from_str(database.url()).expect("compose gives valid URLs");
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(options.clone())
            .await
            .expect("the test's database is up");
        Self { pool, options, _database: database }
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

async fn migrate(url: String) {
    let pool = PgPool::connect(&url).await.expect("the template database is up");
    commands::MIGRATOR.run(&pool).await.expect("the migrations apply to an empty database");
    pool.close().await;
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

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("a valid SKU")
}

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, domain::Currency::USD).expect("in range")
}

pub(crate) fn reason() -> Reason {
    Reason::parse("test").expect("valid")
}

/// A published product with one variant and stock.
pub(crate) async fn product(bus: &Bus, sku_text: &str, price: Money, stock: u32) -> ProductId {
    let product_id: ProductId = new_id();
    let number = i32::try_from(product_id.uuid().as_u128() & 0x3fff_ffff).expect("30 bits") + 1;
    let variant = Variant { sku: sku(sku_text), number, name: None };
    let create = ProductCommand::Create {
        name: Name::parse("Thing").expect("valid"),
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
            StockCommand::Receive { quantity: stock, reason: reason() },
        );
    bus.execute(plan).await.expect("a fresh product can be created");
    product_id
}

/// A moment that every test of a day agrees on.
pub(crate) fn later() -> Timestamp {
    (world().now)().plus_seconds(900)
}
