//! `gomall bench rebuild`: how fast read models are built anew from a whole journal.
//!
//! The anchor `read` only reads the journal, through the same reader in the same batches.

use super::measure::{Case, Round};
use api::pools::connect;
use commands::journal::JournalReader;
use domain::{Cursor, EventSource, Position};
use futures::FutureExt;
use futures::future::BoxFuture;
use projections::{Projection, REBUILD_BATCH_EVENTS, RebuildOptions};
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A journal that stands still.
#[derive(Clone)]
pub(super) struct StillJournal {
    database: PgConnectOptions,
    reader: Arc<JournalReader>,
    head: watch::Receiver<Position>,
}

impl StillJournal {
    pub(super) async fn open(database: &PgConnectOptions, head: Position) -> anyhow::Result<Self> {
        // The sender may go: a position stays readable without it.
        let (_, head) = watch::channel(head);
        let reader = Arc::new(JournalReader::new(connect(database).await?, head.clone()));
        Ok(Self { database: database.clone(), reader, head })
    }

    /// The read model anew, as `gomall rebuild` does it, swap included.
    pub(super) fn rebuild(&self, projection: &'static dyn Projection) -> Box<dyn Case> {
        Box::new(Rebuilding { journal: self.clone(), projection })
    }

    /// Nothing but reading.
    pub(super) fn read(&self) -> Box<dyn Case> {
        Box::new(Reading(self.clone()))
    }
}

fn round(head: Position, begun: Instant) -> Round {
    let per_second = head.get() as f64 / begun.elapsed().as_secs_f64();
    Round { per_second, p50_us: None, p99_us: None }
}

struct Rebuilding {
    journal: StillJournal,
    projection: &'static dyn Projection,
}

impl Rebuilding {
    async fn rebuild(&self) -> anyhow::Result<Round> {
        let StillJournal { database, reader, head } = &self.journal;
        let options = RebuildOptions {
            connect: database.clone(),
            head: head.clone(),
            batch_events: REBUILD_BATCH_EVENTS,
        };
        let begun = Instant::now();
        let rebuilt =
            projections::rebuild(self.projection, options, Arc::clone(reader), |_| {}).await?;
        Ok(round(rebuilt.position, begun))
    }
}

impl Case for Rebuilding {
    fn name(&self) -> &'static str {
        self.projection.name()
    }

    fn clients(&self) -> usize {
        1
    }

    fn round(&mut self, _round: u32, _length: Duration) -> BoxFuture<'_, anyhow::Result<Round>> {
        self.rebuild().boxed()
    }
}

struct Reading(StillJournal);

impl Reading {
    async fn read(&self) -> anyhow::Result<Round> {
        let (begun, mut after) = (Instant::now(), Cursor::START);
        while after.position < *self.0.head.borrow() {
            let events = self.0.reader.read_after(after, REBUILD_BATCH_EVENTS).await?;
            let Some(last) = events.last() else { break };
            after = Cursor::behind(last);
        }
        Ok(round(*self.0.head.borrow(), begun))
    }
}

impl Case for Reading {
    fn name(&self) -> &'static str {
        "read"
    }

    fn clients(&self) -> usize {
        1
    }

    fn round(&mut self, _round: u32, _length: Duration) -> BoxFuture<'_, anyhow::Result<Round>> {
        self.read().boxed()
    }
}
