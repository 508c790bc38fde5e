//! Given events, then rows: a source that serves a history, and a runner that applies it.

use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use follow::elections::Elections;
use projections::{Checkpoints, Options, Projection};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use testkit::{Journal, pool};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far beyond what any step takes on a busy machine; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An event of an aggregate that no projection reads.
pub(crate) fn record_foreign(history: &Journal) -> Position {
    history.record_raw("wish_list", "999", "WishMade", "{}").position
}

/// A journal of which what was served stands in the journal of the database where the projections are, as
/// in life.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) journal: Journal,
    database: OnceLock<PgPool>,
    /// What is served is not stored any more.
    loses: AtomicBool,
}

impl Source {
    /// Serves what is in a history by now.
    pub(crate) fn of(history: &Journal) -> Arc<Self> {
        let source = Arc::<Self>::default();
        source.journal.become_other(history);
        source
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
    pub(crate) fn become_history(&self, history: &Journal) {
        self.loses.store(false, Ordering::Relaxed);
        self.journal.become_other(history);
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
        let events = self.journal.read_after(after, limit).await?;
        self.store(&events).await;
        Ok(events)
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        self.journal.stored(positions).await
    }

    async fn wait_after(&self, after: Position) {
        self.journal.wait_after(after).await;
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
pub(crate) async fn given(history: &Journal) -> PgPool {
    let pool = pool().await;
    apply_all(&pool, history, projections::BATCH_EVENTS).await;
    pool
}

/// Applies a history with every projection in batches of this size.
pub(crate) async fn apply_all(pool: &PgPool, history: &Journal, batch_events: usize) {
    let cancel = CancellationToken::new();
    let checkpoints = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let options =
        Options { batch_events, ..Options::new(pool, checkpoints.clone(), Elections::new()) };
    let running = Running::start(options, Source::of(history));
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
    let mut rows = BTreeMap::new();
    for table in projections::ALL.iter().flat_map(|projection| projection.tables()) {
        let select =
            format!("select coalesce(json_agg(t order by t::text), '[]'::json) from {table} t");
        let found: Value = sqlx::query_scalar(&select).fetch_one(pool).await.expect("it exists");
        rows.insert(*table, found);
    }
    rows
}
