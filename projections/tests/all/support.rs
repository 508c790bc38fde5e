//! Given events, then rows: a history, a source that serves it, a database that holds the rows.

use compose::testing::TestStack;
use domain::{
    Currency, EventSource, EventTypes, Money, Name, Quantity, Reason, RecordedEvent, Sku, Slug,
    SourceError, encode_event,
};
use projections::{Checkpoints, Options, Projection};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far beyond what any step takes on a busy machine; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The first event's time; every event is a second later than the one before.
const START_UNIX: i64 = 1_800_000_000;

/// A migrated database of the test's own.
pub(crate) async fn database() -> PgPool {
    let database = TestStack::shared().await.database_from("projections", migrate).await;
    let connect = PgConnectOptions::from_str(database.url()).expect("compose gives valid URLs");
    PgPoolOptions::new()
        .max_connections(4)
        .connect_with(connect)
        .await
        .expect("the test's database is up")
}

async fn migrate(url: String) {
    let mut conn = PgConnection::connect(&url).await.expect("the template is up");
    MIGRATIONS.run(&mut conn).await.expect("the migrations run on an empty database");
    conn.close().await.expect("nothing is under way");
}

/// Events as the journal would have recorded them.
#[derive(Default)]
pub(crate) struct History {
    events: Vec<Arc<RecordedEvent>>,
    sequences: BTreeMap<(String, String), u64>,
}

impl History {
    /// Records an event as the next of its stream; returns its position.
    pub(crate) fn record<E: EventTypes>(
        &mut self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        event: &E,
    ) -> u64 {
        let payload = encode_event(event).expect("events can be written as JSON");
        self.record_raw(aggregate_type, aggregate_id, &event.event_type(), payload)
    }

    /// Records whatever it is told, also what no build would write.
    pub(crate) fn record_raw(
        &mut self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        event_type: &str,
        payload: String,
    ) -> u64 {
        let aggregate_id = aggregate_id.to_string();
        let position = self.events.len() as u64 + 1;
        let stream = (aggregate_type.to_owned(), aggregate_id.clone());
        let sequence = self.sequences.entry(stream).or_default();
        *sequence += 1;
        self.events.push(Arc::new(RecordedEvent {
            position,
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id,
            sequence: *sequence,
            event_type: event_type.to_owned(),
            event_version: "1".to_owned(),
            payload,
            metadata: "{}".to_owned(),
            event_id: Uuid::from_u128(position.into()),
            recorded_at: recorded_at(position),
        }));
        position
    }

    /// An event of an aggregate that no projection reads.
    pub(crate) fn record_foreign(&mut self) -> u64 {
        self.record_raw("session", id(999), "SessionRevoked", "{}".to_owned())
    }

    pub(crate) fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn source(&self) -> Arc<Source> {
        let source = Source::default();
        source.append(self.events.iter().cloned());
        Arc::new(source)
    }

    /// The events after `position`, for adding them to a source later.
    pub(crate) fn after(&self, position: u64) -> impl Iterator<Item = Arc<RecordedEvent>> + '_ {
        self.events.iter().filter(move |event| event.position > position).cloned()
    }
}

/// When the event at `position` was recorded.
pub(crate) fn recorded_at(position: u64) -> OffsetDateTime {
    let seconds = START_UNIX + i64::try_from(position).expect("histories are short");
    OffsetDateTime::from_unix_timestamp(seconds).expect("not far from now")
}

/// Serves events from memory, and tells those who wait for more.
pub(crate) struct Source {
    events: Mutex<Vec<Arc<RecordedEvent>>>,
    head: watch::Sender<u64>,
}

impl Default for Source {
    fn default() -> Self {
        Self { events: Mutex::default(), head: watch::Sender::new(0) }
    }
}

impl Source {
    pub(crate) fn append(&self, more: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        let mut events = self.events.lock().expect("nobody panics with the lock");
        events.extend(more);
        self.head.send_replace(events.len() as u64);
    }

    /// The last position, as it grows.
    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Takes another event to stand where this one stood.
    pub(crate) fn replace(&self, event: RecordedEvent) {
        let mut events = self.events.lock().expect("nobody panics with the lock");
        let index = usize::try_from(event.position - 1).expect("histories are short");
        events[index] = Arc::new(event);
    }

    pub(crate) fn event(&self, position: u64) -> RecordedEvent {
        let events = self.events.lock().expect("nobody panics with the lock");
        events[usize::try_from(position - 1).expect("histories are short")].as_ref().clone()
    }
}

impl EventSource for Source {
    async fn read_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let after = usize::try_from(after).expect("histories are short");
        let events = self.events.lock().expect("nobody panics with the lock");
        Ok(events.iter().skip(after).take(limit).cloned().collect())
    }

    async fn wait_after(&self, after: u64) {
        let mut head = self.head.subscribe();
        let more = head.wait_for(|head| *head > after);
        let _ = timeout(Duration::from_millis(100), more).await;
    }
}

/// A runner in the background.
pub(crate) struct Running {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(options: Options, source: Arc<Source>) -> Self {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(projections::run(options, source, cancel.clone()));
        Self { cancel, task }
    }

    /// Drains it.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        timeout(PATIENCE, self.task)
            .await
            .expect("a runner drains soon")
            .expect("a runner does not panic");
    }
}

/// Options for some projections only, without anybody to tell.
pub(crate) fn options(pool: &PgPool, projections: &'static [&'static dyn Projection]) -> Options {
    Options {
        connect: pool.connect_options().as_ref().clone(),
        projections,
        batch_events: projections::BATCH_EVENTS,
        elect: true,
        checkpoints: None,
    }
}

/// Given events: applies a history with every projection, to its end.
pub(crate) async fn given(history: &History) -> PgPool {
    let pool = database().await;
    apply_all(&pool, history, projections::BATCH_EVENTS).await;
    pool
}

/// Applies a history with every projection in batches of this size.
pub(crate) async fn apply_all(pool: &PgPool, history: &History, batch_events: usize) {
    let cancel = CancellationToken::new();
    let checkpoints = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let options = Options { batch_events, ..Options::new(pool, checkpoints.clone()) };
    let running = Running::start(options, history.source());
    for projection in projections::ALL {
        checkpoints
            .wait_for(projection.name(), history.head(), PATIENCE)
            .await
            .expect("a history that is in order is applied to its end");
    }
    running.stop().await;
    cancel.cancel();
}

/// Every row of every read model, for comparing databases.
pub(crate) async fn all_rows(pool: &PgPool) -> BTreeMap<&'static str, Value> {
    const TABLES: &[(&str, &str)] = &[
        ("products", "product_id"),
        ("product_variants", "sku"),
        ("categories", "slug"),
        ("catalogue_words", "word"),
        ("stock_items", "sku"),
        ("carts", "cart_id"),
        ("orders", "order_id"),
        ("payments", "payment_id"),
        ("users", "user_id"),
        ("policies", "policy_id"),
        ("permission_rules", "rule_id"),
        ("public_paths", "public_path_id"),
        ("address_bans", "ban_id"),
    ];
    let mut rows = BTreeMap::new();
    for (table, key) in TABLES {
        let select =
            format!("select coalesce(json_agg(t order by t.{key}), '[]'::json) from {table} t");
        let found: Value = sqlx::query_scalar(&select).fetch_one(pool).await.expect("it exists");
        rows.insert(*table, found);
    }
    rows
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).expect("tests use valid SKUs")
}

pub(crate) fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("tests use valid slugs")
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("tests use valid names")
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("tests use valid reasons")
}

pub(crate) fn quantity(pieces: u32) -> Quantity {
    Quantity::new(pieces).expect("tests use valid quantities")
}

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD).expect("tests use valid amounts")
}
