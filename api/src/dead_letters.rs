//! How many events wait as dead letters, and mails in their queue, as metrics.

use crate::telemetry::Metrics;
use nats::notify::waiting_mails;
use opentelemetry::KeyValue;
use projections::dead_letters;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often they are counted: well within what Prometheus usually asks for, and one small query.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// What was counted last, while that is known.
#[derive(Default)]
pub(crate) struct Counts {
    dead_letters: Option<Vec<(String, i64)>>,
    /// How many, and for how long the oldest has waited.
    mails: Option<(u64, Duration)>,
}

/// Counts until `stop`.
pub(crate) async fn count(counts: watch::Sender<Counts>, pool: PgPool, stop: CancellationToken) {
    loop {
        let (dead_letters, mails) = tokio::join!(
            tokio::time::timeout(COUNT_EVERY, dead_letters::count(&pool)),
            waiting_mails(&pool)
        );
        let dead_letters = dead_letters.ok().and_then(Result::ok);
        counts.send_replace(Counts { dead_letters, mails: mails.ok() });
        if stop.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Shows what was counted; no sample rather than a wrong one of what the database does not say.
pub(crate) fn show(metrics: &Metrics, counted: &watch::Receiver<Counts>) {
    let known = counted.clone();
    let _registered = metrics
        .meter("dead letters")
        .u64_observable_gauge("gomall_dead_letters")
        .with_description("Events that failed or wait behind one that did, by consumer.")
        .with_callback(move |observer| {
            let Some(counts) = &known.borrow().dead_letters else { return };
            let of = |name| counts.iter().find(|(found, _)| found == name);
            let with_some = counts.iter().map(|(name, _)| name.as_str());
            let names: BTreeSet<_> = projections::ALL
                .iter()
                .map(|projection| projection.name())
                .chain(with_some)
                .collect();
            for name in names {
                let count = of(name).map_or(0, |(_, count)| count.unsigned_abs());
                observer.observe(count, &[KeyValue::new("consumer", name.to_owned())]);
            }
        })
        .build();
    let meter = metrics.meter("mails");
    let known = counted.clone();
    let _registered = meter
        .u64_observable_gauge("gomall_mails_waiting")
        .with_description("Mails that are to be sent.")
        .with_callback(move |observer| {
            if let Some((waiting, _)) = known.borrow().mails {
                observer.observe(waiting, &[]);
            }
        })
        .build();
    let known = counted.clone();
    let _registered = meter
        .f64_observable_gauge("gomall_mails_oldest_seconds")
        .with_description("For how long the oldest of them has waited.")
        .with_callback(move |observer| {
            if let Some((_, oldest)) = known.borrow().mails {
                observer.observe(oldest.as_secs_f64(), &[]);
            }
        })
        .build();
}
