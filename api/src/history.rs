//! What this process does when the journal turns out to tell another history than it has read: a
//! fail-over to a standby that was behind, or a backup that was restored under it.
//!
//! Whatever is derived from events that are gone is dropped (`commands::journal::Tail` notices; the
//! database refuses decisions on it in any case), what is lost is written down for whoever has to
//! tell customers, and the operator hears of it: in the log, in the metrics, and for a while in
//! `/readyz`.

use crate::guard::{AccessCache, LivePolicy};
use commands::bus::Bus;
use commands::journal::{AcknowledgedKey, OtherHistory, Tail};
use commands::numbers::Numbers;
use domain::Position;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// How long `/readyz` tells of it: longer than any probe's interval, and than read models that have to
/// be built anew usually take.
pub const TOLD_FOR: Duration = Duration::from_secs(60);

/// How long writing it down may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// The pause before what is lost is written down once more, when the database did not take it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How often that is tried; then only the log tells.
const MAX_TRIES: u32 = 60;

/// What a process has in memory of the journal.
pub(crate) struct Remembered {
    pub(crate) bus: Arc<Bus>,
    pub(crate) access: Arc<AccessCache>,
    pub(crate) policy: Arc<LivePolicy>,
    pub(crate) numbers: [Arc<Numbers>; 3],
    /// How far the journal is, as readers are told.
    pub(crate) woken: watch::Sender<Position>,
}

/// Forgets whatever is of another history, each time that the tail finds one, until `stop`.
pub(crate) async fn watch(
    tail: Tail,
    remembered: Arc<Remembered>,
    pool: PgPool,
    stop: CancellationToken,
) {
    let mut other_history = tail.other_history();
    while let Some(Ok(())) = stop.run_until_cancelled(other_history.changed()).await {
        let found = other_history.borrow_and_update().clone();
        remembered.bus.forget_all();
        remembered.access.forget_all();
        remembered.policy.begin_anew();
        for numbers in &remembered.numbers {
            numbers.forget().await;
        }
        remembered.woken.send_replace(found.end.position);
        let keys = remembered.bus.journal().acknowledged_beyond(found.common);
        error!(
            journal.common_position = found.common.get(),
            journal.lost_events = found.lost_count,
            lost_keys = keys.len(),
            "what this process knows of lost events is written into the table lost_events, of the \
             keys that it answered for into lost_keys"
        );
        if stop.run_until_cancelled(write_down(&pool, &found, &keys)).await.is_none() {
            return;
        }
    }
}

async fn write_down(pool: &PgPool, found: &OtherHistory, keys: &[AcknowledgedKey]) {
    for _ in 0..MAX_TRIES {
        let written = async {
            lost_events(pool, found).await?;
            lost_keys(pool, keys).await
        };
        match tokio::time::timeout(WRITE_PATIENCE, written).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => warn!(%error, "lost events could not be written down"),
            Err(_) => warn!("lost events could not be written down in time"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn lost_events(pool: &PgPool, found: &OtherHistory) -> Result<(), sqlx::Error> {
    let lost = &found.lost;
    sqlx::query(
        "insert into lost_events (event_id, position, aggregate_type, aggregate_id, event_type, \
                                  recorded_at) \
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], \
                              $6::timestamptz[]) on conflict do nothing",
    )
    .bind(lost.iter().map(|event| event.event_id).collect::<Vec<_>>())
    .bind(lost.iter().map(|event| event.position.bigint()).collect::<Vec<_>>())
    .bind(lost.iter().map(|event| event.aggregate_type.as_str()).collect::<Vec<_>>())
    .bind(lost.iter().map(|event| event.aggregate_id.as_str()).collect::<Vec<_>>())
    .bind(lost.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>())
    .bind(lost.iter().map(|event| event.recorded_at).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}

async fn lost_keys(pool: &PgPool, keys: &[AcknowledgedKey]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into lost_keys (key, first_position, last_position) \
         select * from unnest($1::uuid[], $2::bigint[], $3::bigint[]) on conflict do nothing",
    )
    .bind(keys.iter().map(|lost| lost.key).collect::<Vec<_>>())
    .bind(keys.iter().map(|lost| lost.positions.0.bigint()).collect::<Vec<_>>())
    .bind(keys.iter().map(|lost| lost.positions.1.bigint()).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}
