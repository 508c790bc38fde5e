//! Forgetting the outcomes of keyed commands when their time is over.

use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long a key is known, in days: the contract's promise to clients that retry.
pub const KEYS_KEPT_DAYS: i32 = 30;

/// Between two rounds. Partitions are made three weeks ahead, so a missed round costs nothing.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The pause after a round that failed, e.g. because the database was away.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// How long one round may take.
const ROUND_PATIENCE: Duration = Duration::from_secs(120);

/// How long one round waits for a lock: it needs one that appends would have to queue behind.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '1s'";

/// Makes and drops the partitions of `command_outcomes` until `cancel`.
pub async fn run(pool: PgPool, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let maintained = tokio::time::timeout(ROUND_PATIENCE, maintain(&pool)).await;
        let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        let pause = match maintained.unwrap_or_else(|_| late()) {
            Ok(()) => INTERVAL,
            Err(error) => {
                warn!(%error, "the outcomes of old commands could not be forgotten");
                RETRY_PAUSE
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn maintain(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    sqlx::query("select command_outcomes_maintain(now(), make_interval(days => $1))")
        .bind(KEYS_KEPT_DAYS)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
