//! What is done to the journal's tables now and then: the outcomes of keyed commands are forgotten when their
//! time is over, and what full blocks of events hold is written down.

use super::report::{BLOCKS_AT_ONCE, summarize};
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

/// What PostgreSQL says when a lock was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Between two looks for full blocks: until they are summarized, reports read their events.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the journal's tables until `cancel`.
pub async fn run(pool: PgPool, cancel: CancellationToken) {
    tokio::join!(forget_outcomes(&pool, &cancel), summarize_blocks(&pool, &cancel));
}

async fn summarize_blocks(pool: &PgPool, cancel: &CancellationToken) {
    while !cancel.is_cancelled() {
        let pause = match within(summarize(pool)).await {
            // There may be more.
            Ok(blocks) if blocks == BLOCKS_AT_ONCE as u64 => Duration::ZERO,
            Ok(_) => SUMMARY_INTERVAL,
            Err(error) => {
                warn!(%error, "what blocks of events hold could not be written down");
                RETRY_PAUSE
            }
        };
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

/// Makes and drops the partitions of `command_outcomes`.
async fn forget_outcomes(pool: &PgPool, cancel: &CancellationToken) {
    while !cancel.is_cancelled() {
        let pause = match within(maintain(pool)).await {
            Ok(()) => INTERVAL,
            // Somebody has been reading the table for long, e.g. a dump. There are weeks of time, and while
            // the lock is asked for, appends wait.
            Err(error) if is_locked(&error) => INTERVAL,
            Err(error) => {
                warn!(%error, "the outcomes of old commands could not be forgotten");
                RETRY_PAUSE
            }
        };
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

async fn within<T>(round: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(ROUND_PATIENCE, round).await.unwrap_or_else(late)
}

async fn maintain(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("select command_outcomes_maintain(now(), make_interval(days => $1))")
        .bind(KEYS_KEPT_DAYS)
        .execute(pool)
        .await
        .map(drop)
}

fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}
