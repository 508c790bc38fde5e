//! What the write side counts, as Prometheus sees it.

use super::Metrics;
use commands::counters::{Counters, Counts};
use opentelemetry::KeyValue;
use std::sync::Arc;
use std::time::Duration;

/// Which of the counters.
type Count = fn(&Counts) -> u64;

/// A label and what belongs to it.
type Outcome = (&'static str, Count);

/// Counters that are told apart by `outcome`.
const BY_OUTCOME: [(&str, &str, &[Outcome]); 3] = [
    (
        "gomall_aggregate_cache_requests",
        "Aggregates that a decision needed, by whether they were in memory.",
        &[("hit", |counts| counts.cache_hits), ("miss", |counts| counts.cache_misses)],
    ),
    (
        "gomall_journal_commands",
        "Commands that the journal's writer was answered, by outcome.",
        &[
            ("done", |counts| counts.done),
            ("replayed", |counts| counts.replayed),
            ("conflict", |counts| counts.conflicts),
        ],
    ),
    (
        "gomall_decision_conflicts",
        "Plans that met a conflict, by whether they were decided again or given up.",
        &[("retried", |counts| counts.retried), ("given_up", |counts| counts.contended)],
    ),
];

/// Counters without labels.
const PLAIN: [(&str, &str, Count); 3] = [
    ("gomall_aggregate_loads", "Aggregates read from the journal.", |counts| counts.loads),
    ("gomall_aggregate_snapshots", "Snapshots written.", |counts| counts.snapshots),
    ("gomall_journal_batches", "Batches that the journal's writer appended.", |counts| {
        counts.batches
    }),
];

/// Shows `counters` whenever somebody reads the metrics. It keeps the counters, never the journal.
pub(crate) fn show_write_side(metrics: &Metrics, counters: &Arc<Counters>) {
    let meter = metrics.meter("gomall");
    for (name, description, outcomes) in BY_OUTCOME {
        let counters = Arc::clone(counters);
        let instrument = meter.u64_observable_counter(name).with_description(description);
        instrument
            .with_callback(move |observer| {
                let counts = counters.now();
                for (outcome, count) in outcomes {
                    observer.observe(count(&counts), &[KeyValue::new("outcome", *outcome)]);
                }
            })
            .build();
    }
    for (name, description, count) in PLAIN {
        let counters = Arc::clone(counters);
        let instrument = meter.u64_observable_counter(name).with_description(description);
        instrument
            .with_callback(move |observer| observer.observe(count(&counters.now()), &[]))
            .build();
    }
    let counters = Arc::clone(counters);
    meter
        .f64_observable_counter("gomall_journal_append")
        .with_description("Time that the journal's writer waited for the database.")
        .with_unit("s")
        .with_callback(move |observer| {
            observer.observe(Duration::from_micros(counters.now().append_us).as_secs_f64(), &[]);
        })
        .build();
}
