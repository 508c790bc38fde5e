//! Taking events in.

use super::timers::apply;
use super::{Failure, Process, checkpoint};
use crate::dead_letters::{self, DeadLettered, MAX_HELD_EVENTS, Subject};
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

/// Events in one transaction.
const BATCH_EVENTS: usize = 500;

/// Takes in the next events. `Some(position)` when there is nothing more to read for now.
pub(super) async fn once<P: Process>(
    process: &P,
    pool: &PgPool,
    source: &impl EventSource,
) -> Result<Option<Position>, Failure> {
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
    let (mut parked, mut held) = (BTreeMap::new(), vec![]);
    if !relevant.is_empty() {
        parked = dead_letters::parked(&mut transaction, P::NAME).await?;
    }
    let keys: Vec<String> = relevant.iter().map(|event| process.ordering_key(event)).collect();
    for (event, key) in relevant.into_iter().zip(&keys) {
        let subject = Subject::of(event, Some(key));
        if let Some(waiting) = parked.get_mut(key) {
            *waiting += 1;
            held.push(subject);
            continue;
        }
        let reason = match process.take(event) {
            Ok(changes) => {
                apply(&mut transaction, P::NAME, event, changes).await?;
                continue;
            }
            Err(reason) => reason,
        };
        match dead_letters::dead_letter(&mut transaction, P::NAME, &subject, &reason).await? {
            DeadLettered::LeftOut => {}
            DeadLettered::Parked => {
                tracing::error!(
                    process.name = P::NAME,
                    event.position = event.position.get(),
                    ordering_key = key,
                    reason,
                    "a process cannot take an event in: it is a dead letter, and what comes after it waits"
                );
                parked.insert(key.clone(), 1);
            }
            DeadLettered::Blocks => {
                return Err(format!("it stops before event {}: {reason}", event.position).into());
            }
        }
    }
    if parked.values().sum::<i64>() > MAX_HELD_EVENTS {
        return Err(format!("{MAX_HELD_EVENTS} events wait behind others already").into());
    }
    dead_letters::hold(&mut transaction, P::NAME, &held).await?;
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
        let event = source.event_at(wanted.position).await?;
        let event = event.ok_or("the journal lacks the event of a dead letter")?;
        match process.take(&event) {
            Ok(changes) => {
                apply(&mut transaction, P::NAME, &event, changes).await?;
                dead_letters::remove(&mut transaction, P::NAME, &wanted).await?;
            }
            Err(reason) => {
                let subject = Subject::of(&event, wanted.ordering_key.as_deref());
                let conn = &mut *transaction;
                if !dead_letters::dead_letter_again(conn, P::NAME, &subject, &wanted, &reason)
                    .await?
                {
                    failed.insert(wanted.ordering_key);
                }
            }
        }
    }
    dead_letters::go_on(&mut transaction, P::NAME).await?;
    transaction.commit().await?;
    Ok(())
}
