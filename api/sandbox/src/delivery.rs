use super::routes::describe;
use super::store::{Store, read_status};
use futures::future::join_all;
use provider::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, PAYMENT_UPDATED, WebhookSecret, sign,
};
use provider::wire::NotificationBody;
use reqwest::Url;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often we look without being woken: for what another process wrote, for retries, and for
/// payments that a killed process left pending.
const POLL: Duration = Duration::from_millis(500);

/// How long we wait after the database failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// How many notifications are under way at once.
const BATCH: i64 = 16;

/// A receiver that needs longer is asked again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a claimed notification is nobody else's: longer than an attempt takes, so that two
/// processes do not send the same one at the same time. After it, a dead process's claim is over.
const CLAIM: Duration = Duration::from_secs(15);

/// The wait after the first failed attempt; it doubles each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// The longest wait between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(5 * 60);

/// Some eighty minutes of trying; after that the shop has to ask.
const MAX_ATTEMPTS: i32 = 24;

/// Where notifications go, and how they are signed.
pub(super) struct Receiver {
    pub(super) url: Url,
    pub(super) secret: WebhookSecret,
    /// The sandbox's own address, without a slash at the end.
    pub(super) public_url: String,
}

/// What happens without a request: overdue payments are settled, notifications delivered.
pub(super) struct Worker {
    pub(super) store: Store,
    pub(super) pool: PgPool,
    pub(super) client: reqwest::Client,
    pub(super) receiver: Option<Receiver>,
    pub(super) changed: Arc<Notify>,
}

impl Worker {
    /// Runs until `stop`. An attempt that is cut off by it is repeated by whoever runs next.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let work = async {
            loop {
                match self.round().await {
                    Ok(true) => {}
                    Ok(false) => {
                        tokio::select! {
                            () = self.changed.notified() => {}
                            () = tokio::time::sleep(POLL) => {}
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = ?error, "the sandbox provider cannot reach its books");
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    /// One look at everything that is due. Answers whether there may be more at once.
    async fn round(&self) -> sqlx::Result<bool> {
        let more_payments = self.store.settle_due().await?;
        let Some(receiver) = &self.receiver else {
            return Ok(more_payments);
        };
        let claimed = self.claim().await?;
        let full = i64::try_from(claimed.len()).is_ok_and(|count| count == BATCH);
        let outcomes = join_all(claimed.iter().map(|due| self.deliver(receiver, due))).await;
        outcomes.into_iter().collect::<sqlx::Result<()>>()?;
        Ok(more_payments || full)
    }

    async fn claim(&self) -> sqlx::Result<Vec<Due>> {
        let sql = "
            with due as materialized (
              select id from sandbox.webhooks where next_attempt_at <= clock_timestamp()
               order by next_attempt_at limit $1 for update skip locked)
            update sandbox.webhooks w
               set attempts = attempts + 1,
                   next_attempt_at = clock_timestamp() + make_interval(secs => $2)
              from due where w.id = due.id
            returning w.id, payment_id, status, amount_minor, currency, code, attempts,
                      extract(epoch from clock_timestamp())::bigint as claimed_at_s";
        let rows =
            sqlx::query(sql).bind(BATCH).bind(CLAIM.as_secs_f64()).fetch_all(&self.pool).await?;
        let public_url = self.receiver.as_ref().map_or("", |receiver| &receiver.public_url);
        rows.iter().map(|row| Due::read(row, public_url)).collect()
    }

    /// One attempt, and what follows from it.
    async fn deliver(&self, receiver: &Receiver, due: &Due) -> sqlx::Result<()> {
        let delivered = self.attempt(receiver, due).await;
        if !delivered && due.attempts < MAX_ATTEMPTS {
            let sql = "update sandbox.webhooks
                set next_attempt_at = clock_timestamp() + make_interval(secs => $2) where id = $1";
            let wait = retry_after(due.attempts);
            sqlx::query(sql).bind(due.id).bind(wait.as_secs_f64()).execute(&self.pool).await?;
            return Ok(());
        }
        if !delivered {
            tracing::warn!(
                payment.id = %due.body.payment_id,
                webhook.id = %due.id,
                attempts = due.attempts,
                "the sandbox provider gives up notifying the shop, which has to ask instead"
            );
        }
        let sql = "delete from sandbox.webhooks where id = $1";
        sqlx::query(sql).bind(due.id).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether the receiver took it.
    async fn attempt(&self, receiver: &Receiver, due: &Due) -> bool {
        let body = serde_json::to_vec(&due.body).expect("the body holds plain values only");
        // Each attempt is signed anew, or a late one would be refused as too old.
        let timestamp = due.claimed_at_s.to_string();
        let signature = sign(&receiver.secret, &due.body.id, &timestamp, &body);
        let sent = self
            .client
            .post(receiver.url.clone())
            .timeout(ATTEMPT_TIMEOUT)
            .header("content-type", "application/json")
            .header(HEADER_ID, &due.body.id)
            .header(HEADER_TIMESTAMP, timestamp)
            .header(HEADER_SIGNATURE, signature)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => true,
            Ok(answer) => {
                let status = answer.status().as_u16();
                tracing::debug!(webhook.id = %due.id, http.status = status, "webhook refused");
                false
            }
            Err(error) => {
                let error = error.without_url();
                tracing::debug!(webhook.id = %due.id, error = ?error, "webhook not delivered");
                false
            }
        }
    }
}

/// A claimed notification.
struct Due {
    id: Uuid,
    /// This one included.
    attempts: i32,
    /// When it was claimed, in Unix seconds on the database's clock.
    claimed_at_s: i64,
    body: NotificationBody,
}

impl Due {
    fn read(row: &PgRow, public_url: &str) -> sqlx::Result<Self> {
        let id: Uuid = row.try_get("id")?;
        let payment_id = row.try_get::<Uuid, _>("payment_id")?.into();
        let (status, amount) = read_status(row)?;
        let state = describe(public_url, payment_id, status, amount, row.try_get("code")?);
        let kind = PAYMENT_UPDATED.to_owned();
        let body = NotificationBody { kind, id: id.to_string(), payment_id, state };
        let attempts = row.try_get("attempts")?;
        Ok(Self { id, attempts, claimed_at_s: row.try_get("claimed_at_s")?, body })
    }
}

/// The wait after that many failed attempts.
fn retry_after(attempts: i32) -> Duration {
    // Beyond ten doublings the longest wait has long been reached.
    let doublings = attempts.saturating_sub(1).clamp(0, 10).unsigned_abs();
    (FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::{FIRST_RETRY, LAST_RETRY, MAX_ATTEMPTS, retry_after};
    use std::time::Duration;

    #[test]
    fn retries_wait_twice_as_long_each_time_up_to_a_bound() {
        assert_eq!(retry_after(1), FIRST_RETRY);
        assert_eq!(retry_after(2), 2 * FIRST_RETRY);
        assert_eq!(retry_after(5), 16 * FIRST_RETRY);
        assert_eq!(retry_after(i32::MAX), LAST_RETRY);
    }

    #[test]
    fn a_receiver_may_be_away_for_an_hour() {
        let total: Duration = (1..MAX_ATTEMPTS).map(retry_after).sum();
        assert!(total > Duration::from_secs(60 * 60), "{total:?}");
    }
}
