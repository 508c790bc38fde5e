//! One batch of events: applied with the checkpoint, or taken apart until the event is found that
//! cannot be applied.

use super::checkpoint::{self, Checkpoint};
use super::worker::Interrupted;
use crate::ordering;
use crate::projection::{ApplyError, Projection};
use crate::status::Status;
use domain::{Cursor, RecordedEvent};
use follow::dead_letters::{self, DeadLettered, Kept, Subject};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;

/// What became of a batch.
pub(super) enum Outcome {
    /// Everything up to the checkpoint is in the rows.
    Applied { row: Checkpoint },
    /// The checkpoint was not where we believed, or the events are not in this database's journal.
    Lost,
    /// Nothing was applied; take this many events next.
    Split { events: usize },
    /// An event cannot be applied, and nothing after it may be; everything before it is.
    Parked { row: Checkpoint },
}

/// Consecutive events from the source.
pub(super) struct Batch<'a> {
    /// All of them; never empty.
    pub(super) events: &'a [Arc<RecordedEvent>],
    /// Those that concern the projection; never empty either.
    pub(super) relevant: Vec<Arc<RecordedEvent>>,
    /// The checkpoint. What lies between it and the first event does not concern the projection.
    pub(super) checkpoint: &'a Checkpoint,
}

impl Batch<'_> {
    fn end(&self) -> Cursor {
        self.events.last().map_or(self.checkpoint.cursor(), |event| Cursor::behind(event))
    }

    /// Directly before an event of the batch.
    fn before(&self, event: &RecordedEvent) -> Cursor {
        let before = self.events.iter().take_while(|other| other.position < event.position).last();
        match before {
            Some(before) => Cursor::behind(before),
            // What is passed over between the checkpoint and the batch is not at hand.
            None if self.checkpoint.position.next() == event.position => self.checkpoint.cursor(),
            None => Cursor::at(event.position.previous()),
        }
    }
}

/// Applies the batch and moves the checkpoint behind it, both or neither.
pub(super) async fn apply(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<Outcome, Interrupted> {
    let cursor = batch.end();
    let mut transaction = conn.begin().await?;
    let moved = checkpoint::advance(&mut transaction, projection, batch.checkpoint, cursor).await?;
    let Some((status, ctid)) = moved else {
        transaction.rollback().await?;
        return Ok(Outcome::Lost);
    };
    let some_parked = status == Status::PartlyParked;
    let error =
        match ordering::apply(projection, &mut transaction, &batch.relevant, some_parked).await {
            Ok(()) => match transaction.commit().await {
                Ok(()) => {
                    let mut row = Checkpoint { ctid, ..batch.checkpoint.clone() };
                    row.set(cursor);
                    return Ok(Outcome::Applied { row });
                }
                // A deferred constraint speaks up only here.
                Err(error) => ApplyError::Database(error),
            },
            Err(error) => {
                transaction.rollback().await?;
                error
            }
        };
    blame(projection, conn, batch, &error.lasting()?).await
}

/// Finds the event that cannot be applied: it is a dead letter when it is the first one, else this
/// says how many events to take next so that everything before it is applied.
async fn blame(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    batch: &Batch<'_>,
    error: &ApplyError,
) -> Result<Outcome, Interrupted> {
    let culprit = match (error, batch.relevant.as_slice()) {
        (_, [only]) => Some(only),
        (ApplyError::Event { position, .. }, relevant) => {
            relevant.iter().find(|event| event.position == *position)
        }
        _ => None,
    };
    let Some(culprit) = culprit else {
        return Ok(Outcome::Split { events: batch.events.len() / 2 });
    };
    match batch.events.iter().take_while(|event| event.position < culprit.position).count() {
        0 => dead_letter(projection, conn, batch, culprit, &error.public_reason()).await,
        before => Ok(Outcome::Split { events: before }),
    }
}

/// Makes the next event that concerns the projection a dead letter, and parks what it has to.
async fn dead_letter(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    batch: &Batch<'_>,
    event: &RecordedEvent,
    reason: &str,
) -> Result<Outcome, Interrupted> {
    let position = event.position;
    let mut transaction = conn.begin().await?;
    let mut row = checkpoint::lock(&mut transaction, projection.name()).await?;
    let stands = row.version == projection.version() && row.cursor() == batch.checkpoint.cursor();
    let is_stored = checkpoint::is_in_journal(&mut transaction, Cursor::behind(event)).await?;
    if !stands || !is_stored || row.status == Status::Parked {
        transaction.rollback().await?;
        return Ok(Outcome::Lost);
    }
    let (consumer, key) = (projection.name(), projection.ordering_key(event));
    let subject = Subject::of(event, key.as_deref());
    let outcome = match dead_letters::dead_letter(&mut transaction, consumer, &subject, reason)
        .await?
    {
        DeadLettered::LeftOut | DeadLettered::Parked => {
            row.set(Cursor::behind(event));
            Outcome::Applied { row: row.clone() }
        }
        DeadLettered::Blocks => {
            let subject = Subject::of(event, None);
            dead_letters::keep(&mut transaction, consumer, &subject, Kept::Failed, reason).await?;
            // Directly before it, which is where a retry looks for it.
            row.set(batch.before(event));
            row.status = Status::Parked;
            Outcome::Parked { row: row.clone() }
        }
    };
    checkpoint::settle(&mut transaction, projection, &row).await?;
    transaction.commit().await?;
    tracing::error!(
        projection.name = projection.name(),
        event.position = position.get(),
        ordering_key = key.filter(|_| row.status != Status::Parked),
        reason,
        "an event cannot be applied: it is a dead letter, and its ordering key or all of the \
         projection is parked"
    );
    Ok(outcome)
}
