//! How many events wait as dead letters, and mails in their queue, as metrics.

use crate::telemetry::Metrics;
use nats::notify::waiting_mails;
use opentelemetry::KeyValue;
use projections::dead_letters;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often they are counted: well within what Prometheus usually asks for, and one small query.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Counts until `stop`. A database that cannot be asked leaves the last numbers standing.
pub(crate) async fn count(metrics: Arc<Metrics>, pool: PgPool, stop: CancellationToken) {
    let gauge = metrics
        .meter("dead letters")
        .u64_gauge("gomall_dead_letters")
        .with_description("Events that failed or wait behind one that did, by consumer.")
        .build();
    let meter = metrics.meter("mails");
    let mails = meter
        .u64_gauge("gomall_mails_waiting")
        .with_description("Mails that are to be sent.")
        .build();
    let oldest = meter
        .f64_gauge("gomall_mails_oldest_seconds")
        .with_description("For how long the oldest of them has waited.")
        .build();
    let names = projections::ALL.iter().map(|projection| projection.name().to_owned());
    let mut consumers: BTreeSet<String> = names.collect();
    loop {
        let counted = tokio::time::timeout(COUNT_EVERY, dead_letters::count(&pool)).await;
        if let Ok(Ok(counts)) = counted {
            consumers.extend(counts.iter().map(|(consumer, _)| consumer.clone()));
            for consumer in &consumers {
                let count = counts.iter().find(|(name, _)| name == consumer);
                let count = count.map_or(0, |(_, count)| count.unsigned_abs());
                gauge.record(count, &[KeyValue::new("consumer", consumer.clone())]);
            }
        }
        if let Ok((waiting, age)) = waiting_mails(&pool).await {
            mails.record(waiting, &[]);
            oldest.record(age.as_secs_f64(), &[]);
        }
        if stop.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_none() {
            return;
        }
    }
}
