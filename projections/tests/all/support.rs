//! Given events, then rows: a history, a source that serves it, a database that holds the rows.

use compose::testing::TestStack;
use domain::{
    Currency, Cursor, EventSource, EventTypes, Money, Name, Position, Quantity, Reason,
    RecordedEvent, SessionId, Sku, Slug, SourceError, encode_event,
};
use follow::elections::Elections;
use projections::{Checkpoints, Options, Projection};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
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
    /// Which of several histories that were the same once.
    fork: u128,
}

impl History {
    /// Records an event as the next of its stream; returns its position.
    pub(crate) fn record<E: EventTypes>(
        &mut self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        event: &E,
    ) -> Position {
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
    ) -> Position {
        let aggregate_id = aggregate_id.to_string();
        let position = self.head().next();
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
            event_id: Uuid::from_u128(u128::from(position.get()) + (self.fork << 64)),
            recorded_at: recorded_at(position),
        }));
        position
    }

    /// An event of an aggregate that no projection reads.
    pub(crate) fn record_foreign(&mut self) -> Position {
        self.record_raw("session", id::<SessionId>(999), "SessionRevoked", "{}".to_owned())
    }

    /// The same up to `position`, from where it goes on differently.
    pub(crate) fn forked_after(&self, position: Position) -> Self {
        let kept = self.events.iter().filter(|event| event.position <= position);
        let mut fork = Self { fork: self.fork + 1, ..Self::default() };
        for event in kept {
            let stream = (event.aggregate_type.clone(), event.aggregate_id.clone());
            fork.sequences.insert(stream, event.sequence);
            fork.events.push(Arc::clone(event));
        }
        fork
    }

    pub(crate) fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    pub(crate) fn source(&self) -> Arc<Source> {
        let source = Source::default();
        source.append(self.events.iter().cloned());
        Arc::new(source)
    }

    /// The events after `position`, for adding them to a source later.
    pub(crate) fn after(
        &self,
        position: Position,
    ) -> impl Iterator<Item = Arc<RecordedEvent>> + '_ {
        self.events.iter().filter(move |event| event.position > position).cloned()
    }
}

/// When the event at `position` was recorded.
pub(crate) fn recorded_at(position: Position) -> OffsetDateTime {
    let seconds = START_UNIX + position.bigint();
    OffsetDateTime::from_unix_timestamp(seconds).expect("not far from now")
}

/// Serves events from memory, and tells those who wait for more. What it serves stands in the journal
/// of the database where the projections are, as in life.
pub(crate) struct Source {
    events: Mutex<Vec<Arc<RecordedEvent>>>,
    head: watch::Sender<Position>,
    database: OnceLock<PgPool>,
    /// What is served is not stored any more.
    loses: AtomicBool,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            head: watch::Sender::new(Position::START),
            database: OnceLock::new(),
            loses: AtomicBool::new(false),
        }
    }
}

impl Source {
    pub(crate) fn append(&self, more: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        let mut events = self.events.lock().expect("nobody panics with the lock");
        events.extend(more);
        self.head.send_replace(Position::new(events.len() as u64));
    }

    /// The last position, as it grows.
    pub(crate) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Takes another event to stand where this one stood.
    pub(crate) fn replace(&self, event: RecordedEvent) {
        let mut events = self.events.lock().expect("nobody panics with the lock");
        let index = usize::try_from(event.position.previous().get()).expect("histories are short");
        events[index] = Arc::new(event);
    }

    pub(crate) fn event(&self, position: Position) -> RecordedEvent {
        let events = self.events.lock().expect("nobody panics with the lock");
        events[usize::try_from(position.previous().get()).expect("histories are short")]
            .as_ref()
            .clone()
    }

    /// From here on what is served is in this database's journal.
    pub(crate) fn store_in(&self, connect: &PgConnectOptions) {
        self.database.get_or_init(|| {
            PgPoolOptions::new().max_connections(2).connect_lazy_with(connect.clone())
        });
    }

    /// The database loses what came after `position`, and this source does not know.
    pub(crate) async fn lose_after(&self, position: Position) {
        self.loses.store(true, Ordering::Relaxed);
        let pool = self.database.get().expect("it was stored somewhere");
        sqlx::query("delete from events where position > $1")
            .bind(position.bigint())
            .execute(pool)
            .await
            .expect("it can be done");
    }

    /// Serves what another history holds, which is in the database too.
    pub(crate) fn become_history(&self, history: &History) {
        self.loses.store(false, Ordering::Relaxed);
        *self.events.lock().expect("nobody panics with the lock") = history.events.clone();
        self.head.send_replace(history.head());
    }

    async fn store(&self, events: &[Arc<RecordedEvent>]) {
        let Some(pool) = self.database.get() else { return };
        if self.loses.load(Ordering::Relaxed) {
            return;
        }
        sqlx::query(
            "insert into events (position, aggregate_type, aggregate_id, sequence, event_type, \
                                 event_version, payload, metadata, event_id, recorded_at) \
             select position, 'test', position::text, 1, 'Tested', '1', '{}', '{}', event_id, now() \
             from unnest($1::bigint[], $2::uuid[]) as served (position, event_id) \
             on conflict do nothing",
        )
        .bind(events.iter().map(|event| event.position.bigint()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_id).collect::<Vec<_>>())
        .execute(pool)
        .await
        .expect("the journal takes events");
    }
}

impl EventSource for Source {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let skipped = usize::try_from(after.position.get()).expect("histories are short");
        let events: Vec<_> = {
            let events = self.events.lock().expect("nobody panics with the lock");
            let there = skipped.checked_sub(1).map(|index| events.get(index));
            let is_other = |event: &Arc<RecordedEvent>| {
                after.event_id.is_some_and(|believed| believed != event.event_id)
            };
            if there.is_some_and(|there| there.is_none_or(is_other)) {
                return Err(SourceError::OtherHistory(after));
            }
            events.iter().skip(skipped).take(limit).cloned().collect()
        };
        self.store(&events).await;
        Ok(events)
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let events = self.events.lock().expect("nobody panics with the lock");
        let wanted = events.iter().filter(|event| positions.contains(&event.position));
        Ok(wanted.cloned().collect())
    }

    async fn wait_after(&self, after: Position) {
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
        source.store_in(&options.connect);
        let task = tokio::spawn(process(options, source, cancel.clone()));
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

/// What a process does: a runner, with a session of its own for the elections that it stands in.
pub(crate) async fn process<S: EventSource>(
    mut options: Options,
    source: Arc<S>,
    cancel: CancellationToken,
) {
    let Some(elections) = options.elections.as_mut() else {
        return projections::run(options, source, cancel).await;
    };
    *elections = Elections::new();
    let (elections, connect) = (elections.clone(), options.connect.clone());
    // As long as the runner may need it.
    let over = CancellationToken::new();
    let running = async {
        projections::run(options, source, cancel).await;
        over.cancel();
    };
    tokio::join!(running, elections.hold(connect, over.clone()));
}

/// Options for some projections only, without anybody to tell.
pub(crate) fn options(pool: &PgPool, projections: &'static [&'static dyn Projection]) -> Options {
    Options {
        connect: pool.connect_options().as_ref().clone(),
        projections,
        batch_events: projections::BATCH_EVENTS,
        batch_patience: projections::BATCH_PATIENCE,
        elections: Some(Elections::new()),
        stands_still: projections::STANDS_STILL,
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
    let options =
        Options { batch_events, ..Options::new(pool, checkpoints.clone(), Elections::new()) };
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
        ("stock", "sku"),
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

pub(crate) fn id<Id: From<Uuid>>(number: u128) -> Id {
    Uuid::from_u128(number).into()
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
