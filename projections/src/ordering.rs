//! Applying events in order, those of parked ordering keys held back.
//!
//! The live worker and a rebuild both go through here, so that both leave the same rows and the same dead
//! letters.

use crate::projection::{ApplyError, Projection};
use domain::RecordedEvent;
use follow::dead_letters::{self, MAX_HELD_EVENTS, Subject};
use futures::FutureExt;
use sqlx::PgConnection;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Applies events within the caller's transaction. With `some_parked`, those of parked ordering keys are
/// held back as dead letters instead.
///
/// # Errors
/// [`ApplyError`]; the caller rolls back, and finds out which event it was.
pub(crate) async fn apply(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
    some_parked: bool,
) -> Result<(), ApplyError> {
    if !some_parked {
        return apply_guarded(projection, conn, events).await;
    }
    let free = hold(projection, conn, events).await?;
    if free.is_empty() { Ok(()) } else { apply_guarded(projection, conn, &free).await }
}

/// A panic is a fault in the projection's code, met by one event: an event that cannot be applied,
/// like any other.
async fn apply_guarded(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    AssertUnwindSafe(projection.apply(conn, events))
        .catch_unwind()
        .await
        .unwrap_or(Err(ApplyError::Panicked))
}

/// Keeps the events of parked ordering keys as dead letters and gives the others.
async fn hold(
    projection: &dyn Projection,
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<Vec<Arc<RecordedEvent>>, ApplyError> {
    let parked = dead_letters::parked(conn, projection.name()).await?;
    let mut room = MAX_HELD_EVENTS - parked.values().sum::<i64>();
    let keys: Vec<_> = events.iter().map(|event| projection.ordering_key(event)).collect();
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for (event, key) in events.iter().zip(&keys) {
        match key.as_deref().filter(|key| parked.contains_key(*key)) {
            None => free.push(Arc::clone(event)),
            Some(_) if room <= 0 => {
                let reason = format!("{MAX_HELD_EVENTS} events wait behind others already");
                return Err(ApplyError::Event { position: event.position, reason });
            }
            key => {
                room -= 1;
                held.push(Subject::of(event, key));
            }
        }
    }
    dead_letters::hold(conn, projection.name(), &held).await?;
    Ok(free)
}
