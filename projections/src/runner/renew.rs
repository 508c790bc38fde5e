//! Rows that show events which the journal does not have, or that an older build made.

use super::worker::Interrupted;
use crate::projection::Projection;
use crate::rebuild::{Progress, REBUILD_BATCH_EVENTS, RebuildOptions, rebuild};
use domain::{EventSource, Position};
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the progress of rows that are built anew is told.
const TELL_PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Why rows are of no use any more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stale {
    /// They show events up to here that the journal does not have.
    History(Position),
    /// An older build made them, of this version of the projection.
    Version(i32),
}

/// Builds the rows anew from the journal's first event. Readers go on with the old ones until then.
pub(super) async fn renew<S: EventSource>(
    projection: &'static dyn Projection,
    connect: &PgConnectOptions,
    stale: Stale,
    source: &Arc<S>,
) -> Result<(), Interrupted> {
    let name = projection.name();
    match stale {
        Stale::History(position) => tracing::error!(
            projection.name = name,
            event.position = position.get(),
            "a read model shows events that the journal does not have; it is built anew"
        ),
        Stale::Version(found) => tracing::info!(
            projection.name = name,
            projection.version = projection.version(),
            rows.version = found,
            "a read model is of an older build; it is built anew"
        ),
    }
    let options = RebuildOptions {
        connect: connect.clone(),
        // Only progress is measured by it, and what the rebuild reads is told just as well.
        head: watch::channel(Position::START).1,
        batch_events: REBUILD_BATCH_EVENTS,
    };
    let mut told = Instant::now();
    let progress = |progress: Progress| {
        if told.elapsed() >= TELL_PROGRESS_EVERY {
            told = Instant::now();
            tracing::info!(
                projection.name = name,
                event.position = progress.position.get(),
                "a read model is being built anew"
            );
        }
    };
    let rebuilt =
        rebuild(projection, options, Arc::clone(source), progress).await.map_err(Box::new)?;
    tracing::info!(
        projection.name = name,
        event.position = rebuilt.position.get(),
        "a read model was built anew and shows the journal"
    );
    Ok(())
}
