//! When keys of programs were last used, for their owners: remembered, and written down now and then.
//!
//! No request waits for that. What a process has not written when it dies is lost; nobody is let in by it.

use domain::{ApiKeyId, Timestamp};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// How often they are written: a minute is as exactly as anybody wants to know it.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// The most keys that are remembered between two writings (some 60 bytes each). The uses of more are missed.
const MAX_KEYS: usize = 10_000;

/// What was used since it was last written.
#[derive(Debug, Default)]
pub struct KeyUses(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl KeyUses {
    /// The key was used, now.
    pub fn note(&self, key_id: ApiKeyId, now: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < MAX_KEYS || uses.contains_key(&key_id) {
            uses.insert(key_id, now);
        }
    }

    /// Writes what was used, until `stop`, and once more then.
    pub async fn write(&self, pool: &PgPool, stop: CancellationToken) {
        loop {
            let goes_on = stop.run_until_cancelled(tokio::time::sleep(WRITE_EVERY)).await.is_some();
            if let Err(error) = self.flush(pool).await {
                warn!(%error, "uses of API keys could not be written");
            }
            if !goes_on {
                return;
            }
        }
    }

    async fn flush(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) =
            uses.into_iter().map(|(id, at)| (id.uuid(), OffsetDateTime::from(at))).unzip();
        let written = sqlx::query(
            "insert into api_key_uses (key_id, last_used_at) \
             select * from unnest($1::uuid[], $2::timestamptz[]) \
             on conflict (key_id) do update set last_used_at = \
               greatest(api_key_uses.last_used_at, excluded.last_used_at)",
        );
        written.bind(ids).bind(times).execute(pool).await.map(drop)
    }
}

/// When each of these keys was last used, as far as that was written.
///
/// # Errors
/// When the database cannot be read.
pub async fn last_uses(
    pool: &PgPool,
    keys: &[ApiKeyId],
) -> Result<HashMap<ApiKeyId, Timestamp>, sqlx::Error> {
    let ids: Vec<Uuid> = keys.iter().map(|key| key.uuid()).collect();
    let found: Vec<(Uuid, OffsetDateTime)> =
        sqlx::query_as("select key_id, last_used_at from api_key_uses where key_id = any($1)")
            .bind(ids)
            .fetch_all(pool)
            .await?;
    Ok(found.into_iter().map(|(id, at)| (id.into(), at.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_use_of_each_key_is_kept() {
        let pool = testkit::pool().await;
        let uses = KeyUses::default();
        let (one, other): (ApiKeyId, ApiKeyId) = (testkit::id(1), testkit::id(2));
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        uses.note(one, at(10));
        uses.note(one, at(20));
        uses.note(other, at(5));
        uses.flush(&pool).await.expect("the database is up");
        // Another process was slower to write what it saw before.
        uses.note(one, at(15));
        uses.note(other, at(6));
        uses.flush(&pool).await.expect("the database is up");
        let found = last_uses(&pool, &[one, other]).await.expect("the database is up");
        assert_eq!(found, HashMap::from([(one, at(20)), (other, at(6))]));
    }
}
