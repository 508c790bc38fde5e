//! Tries events again that could not be applied, when somebody asks for it.

use super::checkpoint;
use super::worker::Interrupted;
use crate::ordering;
use crate::projection::Projection;
use crate::status::Status;
use domain::{Cursor, EventSource, Position, RecordedEvent};
use follow::dead_letters::{self, Subject, Wanted};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tries the next events of the ordering keys for which that was asked, in order: each is applied and its letter
/// goes, in one transaction. Where one fails again its key stays parked from there on.
///
/// The checkpoint's row is locked first, as by every batch, so nothing of the key is applied or
/// held back beside it.
pub(super) async fn retry<S: EventSource>(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    source: &S,
) -> Result<(), Interrupted> {
    let mut transaction = conn.begin().await?;
    let mut row = checkpoint::lock(&mut transaction, projection.name()).await?;
    if row.version != projection.version() {
        return Ok(());
    }
    // So that a deferred constraint speaks up at the event that breaks it.
    sqlx::query("set constraints all immediate").execute(&mut *transaction).await?;
    let consumer = projection.name();
    let mut failed: BTreeSet<Option<String>> = BTreeSet::new();
    for wanted in dead_letters::wanted(&mut transaction, consumer).await? {
        if failed.contains(&wanted.ordering_key) {
            continue;
        }
        let blocks_all = wanted.ordering_key.is_none();
        if blocks_all && !(row.status == Status::Parked && row.position.next() == wanted.position) {
            // The projection does not stand before it; it meets the event by itself.
            dead_letters::remove(&mut transaction, consumer, &wanted).await?;
            continue;
        }
        let event = read(source, wanted.position).await?;
        if try_event(projection, &mut transaction, &event, &wanted).await? {
            if blocks_all {
                row.set(Cursor::behind(&event));
                row.status = Status::Running;
            }
        } else {
            failed.insert(wanted.ordering_key);
        }
    }
    dead_letters::go_on(&mut transaction, consumer).await?;
    checkpoint::settle(&mut transaction, projection, &row).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether what comes after the event may be applied.
async fn try_event(
    projection: &'static dyn Projection,
    conn: &mut PgConnection,
    event: &Arc<RecordedEvent>,
    wanted: &Wanted,
) -> Result<bool, Interrupted> {
    let mut step = conn.begin().await?;
    // What the whole projection stood before may belong to an ordering key that is parked.
    let blocks_all = wanted.ordering_key.is_none();
    let tried = ordering::apply(projection, &mut step, std::slice::from_ref(event), blocks_all);
    let error = match tried.await {
        Ok(()) => {
            step.commit().await?;
            dead_letters::remove(conn, projection.name(), wanted).await?;
            return Ok(true);
        }
        Err(error) => error.lasting()?,
    };
    step.rollback().await?;
    let own = projection.ordering_key(event);
    let subject = Subject::of(event, own.as_deref());
    let (consumer, reason) = (projection.name(), error.public_reason());
    Ok(dead_letters::dead_letter_again(conn, consumer, &subject, wanted, &reason).await?)
}

async fn read<S: EventSource>(
    source: &S,
    position: Position,
) -> Result<Arc<RecordedEvent>, Interrupted> {
    // From the database: somebody may have repaired what is stored there since it was first read.
    source
        .event_at(position)
        .await?
        .ok_or(Interrupted::Gap { expected: position, found: Position::START })
}
