//! Taking events in.

use super::timers::apply;
use super::{Failure, Process, checkpoint, dead_letters};
use domain::{Cursor, EventSource, RecordedEvent, SourceError};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// Events in one transaction.
const BATCH_EVENTS: usize = 500;

/// Takes in the next events. `Some(position)` when there is nothing more to read for now.
pub(super) async fn once<P: Process>(
    process: &P,
    pool: &PgPool,
    source: &impl EventSource,
) -> Result<Option<u64>, Failure> {
    let (cursor, retry) = checkpoint::load(pool, P::NAME).await?;
    if retry {
        try_again(process, pool, source).await?;
    }
    let events = match source.read_after(cursor, BATCH_EVENTS).await {
        Err(SourceError::OtherHistory(_)) => {
            checkpoint::begin_anew(pool, P::NAME, cursor).await?;
            return Ok(None);
        }
        read => read?,
    };
    let Some(last) = events.last() else { return Ok(Some(cursor.position)) };

    let mut transaction = pool.begin().await?;
    if !checkpoint::advance(&mut transaction, P::NAME, cursor, Cursor::behind(last)).await? {
        // Another process took these events in, or they are of a history that is gone.
        transaction.rollback().await?;
        return Ok(None);
    }
    let is_read = |event: &&RecordedEvent| P::READS.contains(&event.aggregate_type.as_str());
    let relevant: Vec<_> = events.iter().map(|event| &**event).filter(is_read).collect();
    let mut parked = BTreeSet::new();
    if !relevant.is_empty() {
        parked = dead_letters::parked(&mut transaction, P::NAME).await?;
    }
    for event in relevant {
        let key = process.ordering_key(event);
        if parked.contains(&key) {
            dead_letters::keep(&mut transaction, P::NAME, event, &key, None).await?;
            continue;
        }
        match process.take(event) {
            Ok(changes) => apply(&mut transaction, P::NAME, event, changes).await?,
            Err(reason) => {
                dead_letters::keep(&mut transaction, P::NAME, event, &key, Some(&reason)).await?;
                parked.insert(key);
            }
        }
    }
    transaction.commit().await?;
    Ok(None)
}

/// Tries dead letters again for which somebody asked that, in order.
async fn try_again<P: Process>(
    process: &P,
    pool: &PgPool,
    source: &impl EventSource,
) -> Result<(), Failure> {
    let mut transaction = pool.begin().await?;
    // Nobody takes events in meanwhile, nor tries the same ones.
    checkpoint::lock(&mut transaction, P::NAME).await?;
    let mut failed = BTreeSet::new();
    for wanted in dead_letters::wanted(&mut transaction, P::NAME).await? {
        if failed.contains(&wanted.ordering_key) {
            continue;
        }
        let event = source.event_at(u64::try_from(wanted.position)?).await?;
        let event = event.ok_or("the journal lacks the event of a dead letter")?;
        match process.take(&event) {
            Ok(changes) => {
                apply(&mut transaction, P::NAME, &event, changes).await?;
                dead_letters::remove(&mut transaction, P::NAME, &wanted).await?;
            }
            Err(reason) => {
                if !dead_letters::failed(&mut transaction, P::NAME, &wanted, &reason).await? {
                    failed.insert(wanted.ordering_key);
                }
            }
        }
    }
    dead_letters::go_on(&mut transaction, P::NAME).await?;
    transaction.commit().await?;
    Ok(())
}
