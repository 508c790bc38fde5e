use crate::telemetry::Metrics;
use domain::Position;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Counts the events that the journal has grown by, until `stop`.
pub(super) async fn events(
    metrics: Arc<Metrics>,
    mut head: watch::Receiver<Position>,
    stop: CancellationToken,
) {
    let mut counted = *head.borrow_and_update();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = head.changed() => if changed.is_err() { return },
        }
        let position = *head.borrow_and_update();
        metrics.events_seen(counted.lag(position));
        counted = position.max(counted);
    }
}
