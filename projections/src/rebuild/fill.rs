//! Applies events to the new tables until the end of the journal is near.

use super::{Progress, Rebuild, RebuildError, STEP_TIMEOUT, Stage};
use crate::ordering;
use crate::projection::{ApplyError, Projection};
use domain::{Cursor, EventSource, RecordedEvent, SourceError, batch_is_full};
use follow::dead_letters::{self, DeadLettered, Subject};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Batches that are read while another is applied: reading and writing overlap, and memory holds
/// a few batches at most.
const READ_AHEAD_BATCHES: usize = 1;

impl<S: EventSource, P: FnMut(Progress) + Send> Rebuild<S, P> {
    /// Applies everything up to a batch that is not full: less than a batch is left then.
    pub(super) async fn fill(&mut self) -> Result<(), RebuildError> {
        let (mut batches, _reader) =
            read_ahead(self.source.clone(), self.cursor, self.batch_events);
        while let Some(batch) = batches.recv().await {
            let events = batch?;
            let Some(last) = consecutive(self.cursor, &events)? else { break };
            let relevant = relevant(self.projection, &events);
            timeout(STEP_TIMEOUT, apply(self.projection, &mut self.conn, &relevant))
                .await
                .map_err(|_| RebuildError::Timeout(STEP_TIMEOUT))??;
            self.cursor = last;
            self.report(Stage::Filling);
        }
        Ok(())
    }
}

/// The events that the projection reads.
pub(super) fn relevant(
    projection: &dyn Projection,
    events: &[Arc<RecordedEvent>],
) -> Vec<Arc<RecordedEvent>> {
    let aggregates = projection.aggregates();
    let read = |event: &&Arc<RecordedEvent>| aggregates.contains(&event.aggregate_type.as_str());
    events.iter().filter(read).cloned().collect()
}

/// Behind the last event, once it is shown that none is missing; none when there are no events.
pub(super) fn consecutive(
    from: Cursor,
    events: &[Arc<RecordedEvent>],
) -> Result<Option<Cursor>, RebuildError> {
    for (expected, event) in from.position.following().zip(events) {
        if event.position != expected {
            return Err(RebuildError::Gap { expected, found: event.position });
        }
    }
    Ok(events.last().map(|event| Cursor::behind(event)))
}

/// Applies all events; of what cannot be applied becomes what became of it live. Batches shrink
/// around such an event, and where many rows are too much for one statement.
async fn apply(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), RebuildError> {
    let (mut rest, mut most) = (events, events.len());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(most.min(rest.len()));
        let mut transaction = conn.begin().await?;
        let applied = match ordering::apply(projection, &mut transaction, now, true).await {
            Ok(()) => transaction.commit().await.map_err(ApplyError::Database),
            Err(error) => {
                // A connection that is lost cannot be told; the first error says more.
                let _ = transaction.rollback().await;
                Err(error)
            }
        };
        let error = match applied {
            Ok(()) => {
                (rest, most) = (later, most.saturating_mul(2));
                continue;
            }
            Err(error) => error.lasting().map_err(ApplyError::Database)?,
        };
        match now {
            [only] => {
                dead_letter(projection, conn, only, error).await?;
                rest = later;
            }
            _ => most = before(now, &error).unwrap_or(now.len() / 2),
        }
    }
    Ok(())
}

/// How many events come before the one that the error names; 1 when it is the first.
fn before(events: &[Arc<RecordedEvent>], error: &ApplyError) -> Option<usize> {
    let ApplyError::Event { position: culprit, .. } = error else { return None };
    let index = events.iter().position(|event| event.position == *culprit)?;
    Some(index.max(1))
}

/// Keeps an event that cannot be applied as a dead letter; what would park the whole projection
/// ends the rebuild.
async fn dead_letter(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    event: &RecordedEvent,
    error: ApplyError,
) -> Result<(), RebuildError> {
    let reason = error.public_reason();
    let key = projection.ordering_key(event);
    let subject = Subject::of(event, key.as_deref());
    let mut transaction = conn.begin().await?;
    match dead_letters::dead_letter(&mut transaction, projection.name(), &subject, &reason).await? {
        DeadLettered::LeftOut | DeadLettered::Parked => Ok(transaction.commit().await?),
        DeadLettered::Blocks => {
            transaction.rollback().await?;
            Err(ApplyError::Event { position: event.position, reason }.into())
        }
    }
}

type Batch = Result<Vec<Arc<RecordedEvent>>, SourceError>;

/// Reads on while batches are applied; ends after a batch that is not full. The reader ends with
/// the set that is returned.
fn read_ahead<S: EventSource>(
    source: Arc<S>,
    mut after: Cursor,
    batch_events: usize,
) -> (mpsc::Receiver<Batch>, JoinSet<()>) {
    let (sender, receiver) = mpsc::channel(READ_AHEAD_BATCHES);
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        loop {
            let batch = source.read_after(after, batch_events).await;
            let is_last =
                batch.as_ref().map_or(true, |events| !batch_is_full(events, batch_events));
            if let Some(last) = batch.as_ref().ok().and_then(|events| events.last()) {
                after = Cursor::behind(last);
            }
            if sender.send(batch).await.is_err() || is_last {
                return;
            }
        }
    });
    (receiver, reader)
}
