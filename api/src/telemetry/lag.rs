//! How far behind the journal its followers are: behind the head that the database has, not behind what
//! a reader has seen that may be stuck itself.

use super::Metrics;
use commands::journal::OtherHistory;
use domain::Position;
use nats::{RelayState, RelayStatus};
use opentelemetry::KeyValue;
use projections::Checkpoints;
use tokio::sync::watch;

/// Every value of the label `state`.
const RELAY_STATES: [&str; 4] = ["publishing", "standing_by", "waiting", "stopped"];

/// Shows what the relay of this process does: its state, and its lag where it has the lease.
pub(crate) fn show_relay(
    metrics: &Metrics,
    status: &watch::Receiver<RelayStatus>,
    head: &watch::Receiver<Option<Position>>,
) {
    let meter = metrics.meter("gomall");
    let (relay, head) = (status.clone(), head.clone());
    let _registered = meter
        .u64_observable_gauge("gomall_relay_lag_events")
        .with_description("Events that are not on JetStream yet, as far as this relay knows.")
        .with_callback(move |observer| {
            // No sample rather than a wrong one where this relay does not know.
            let published = relay.borrow().published_position;
            if let (Some(published), Some(head)) = (published, *head.borrow()) {
                observer.observe(published.lag(head), &[]);
            }
        })
        .build();
    let relay = status.clone();
    let _registered = meter
        .u64_observable_gauge("gomall_relay_state")
        .with_description("1 for what the relay of this process does, 0 for what it does not.")
        .with_callback(move |observer| {
            let current = word(&relay.borrow().state);
            for state in RELAY_STATES {
                observer.observe(u64::from(state == current), &[KeyValue::new("state", state)]);
            }
        })
        .build();
}

/// Shows how far behind every projection is, whichever process keeps it.
pub(crate) fn show_projections(metrics: &Metrics, checkpoints: &Checkpoints) {
    let (checkpoints, head) = (checkpoints.clone(), checkpoints.journal_head());
    let _registered = metrics
        .meter("gomall")
        .u64_observable_gauge("gomall_projection_lag_events")
        .with_description("Events that a read model does not show yet.")
        .with_callback(move |observer| {
            let Some(head) = *head.borrow() else { return };
            for (projection, position) in checkpoints.positions() {
                let labels = [KeyValue::new("projection", projection)];
                observer.observe(position.lag(head), &labels);
            }
        })
        .build();
}

/// Shows how often the journal told another history than before.
pub(crate) fn show_history(metrics: &Metrics, other_history: watch::Receiver<OtherHistory>) {
    let _registered = metrics
        .meter("gomall")
        .u64_observable_counter("gomall_journal_other_histories")
        .with_description(
            "How often the journal told another history than this process had read: commits were lost.",
        )
        .with_callback(move |observer| observer.observe(other_history.borrow().times, &[]))
        .build();
}

fn word(state: &RelayState) -> &'static str {
    match state {
        RelayState::Publishing => "publishing",
        RelayState::Standby => "standing_by",
        RelayState::Waiting => "waiting",
        RelayState::Diverged(_) => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nats::Divergence;

    #[test]
    fn the_relays_lag_and_state_are_shown_and_no_lag_is_claimed_that_is_not_known() {
        let metrics = Metrics::new().expect("the names are right");
        let idle = RelayStatus {
            state: RelayState::Standby,
            published_position: None,
            seen_position: Position::START,
        };
        let (status, relay) = watch::channel(idle);
        let (head, journal) = watch::channel(Some(Position::new(100)));
        show_relay(&metrics, &relay, &journal);
        let shows = |line: &str| {
            let text = metrics.render().expect("text");
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        };
        let claims_no_lag = || {
            assert!(!metrics.render().expect("text").contains("gomall_relay_lag_events "));
        };
        shows("gomall_relay_state{state=\"standing_by\"} 1");
        claims_no_lag();

        let become_state = |state| status.send_modify(|status| status.state = state);
        become_state(RelayState::Waiting);
        shows("gomall_relay_state{state=\"waiting\"} 1");
        claims_no_lag();

        status.send_modify(|status| status.published_position = Some(Position::new(90)));
        become_state(RelayState::Publishing);
        shows("gomall_relay_lag_events 10");
        shows("gomall_relay_state{state=\"publishing\"} 1");
        shows("gomall_relay_state{state=\"standing_by\"} 0");
        head.send_replace(Some(Position::new(80)));
        shows("gomall_relay_lag_events 0");
        head.send_replace(None);
        claims_no_lag();

        become_state(RelayState::Diverged(Divergence::Ahead {
            stream_position: Position::new(90),
        }));
        head.send_replace(Some(Position::new(95)));
        shows("gomall_relay_state{state=\"stopped\"} 1");
        shows("gomall_relay_lag_events 5");
    }
}
