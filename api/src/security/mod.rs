//! Who was refused, and from where somebody changed who may do what.
//!
//! **Guarantee.** Every 401, 403 and 429 is counted and logged; with its address it is written down for
//! `GET /api/v1/admin/audit`, as is every request that has changed something under [`CHANGES`]. No request waits for
//! that, and nobody can make it grow: what is alike is one row with a number, what waits is bounded here, what is kept
//! is bounded in [`projections::audit::requests`]. What finds no room is counted as dropped.
//!
//! The log line has no address: nobody knows how long logs are kept. Nothing here is an event, see
//! `docs/decisions/0030-the-security-log.md`.

mod email_hash;
mod passage;
mod waiting;

pub use email_hash::EmailHash;
pub(crate) use passage::{About, Passage, Refused};

use crate::telemetry::Metrics;
use domain::EmailAddress;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use projections::audit::requests::{self, Most, SeenRequest};
use sqlx::PgPool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use waiting::Waiting;

/// Where a change is one of who may do what, if it succeeds.
pub(crate) const CHANGES: [&str; 7] = [
    "/api/v1/auth/",
    "/api/v1/admin/",
    "/api/v1/me/password",
    "/api/v1/me/sessions",
    "/api/v1/me/step-up",
    "/api/v1/me/second-factor",
    "/api/v1/me/api-keys",
];

/// Between two writes: so often at most, and what is alike meanwhile is one row.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How long one write may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How often a write is tried before its rows are dropped: a restart of PostgreSQL passes meanwhile.
const MAX_TRIES: u32 = 10;

/// How often the table is cut down to its bounds.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// How long a reader waits for what this process has seen before.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// The requests that this process has to write down.
pub struct SecurityLog {
    emails: EmailHash,
    waiting: Mutex<Waiting>,
    /// There is something to write.
    noted: Notify,
    /// Somebody waits for it.
    hurry: Notify,
    /// How many of those that were noted are settled: written, or given up.
    settled: watch::Sender<u64>,
    denials: Counter<u64>,
    dropped: Counter<u64>,
}

impl SecurityLog {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(metrics: &Metrics, emails: EmailHash) -> Self {
        let meter = metrics.meter("security");
        let denials = meter
            .u64_counter("gomall_denials")
            .with_description("Requests that were answered 401, 403 or 429, by code.")
            .build();
        let dropped = meter
            .u64_counter("gomall_security_log_dropped")
            .with_description("Of what should be in the security log, what found no room.")
            .build();
        dropped.add(0, &[]);
        Self {
            emails,
            waiting: Mutex::default(),
            noted: Notify::new(),
            hurry: Notify::new(),
            settled: watch::Sender::new(0),
            denials,
            dropped,
        }
    }

    /// The hash under which sign-ins with this address are found.
    #[must_use]
    pub fn hash(&self, email: &EmailAddress) -> String {
        self.emails.of(email)
    }

    /// Takes a request to write it down soon; a refusal may be one that `tries_a_password`, which has places of its own.
    pub(crate) fn note(&self, request: SeenRequest, tries_a_password: bool) {
        if let Some(code) = request.code {
            self.denials.add(1, &[KeyValue::new("code", code)]);
        }
        log(&request);
        let (is_first, has_room) = self.waiting().take(request, tries_a_password);
        if !has_room {
            self.dropped.add(1, &[]);
        }
        if is_first {
            self.noted.notify_one();
        }
    }

    /// Waits until what this process has seen so far can be read, for a second at most.
    pub async fn settle(&self) {
        let noted = self.waiting().noted();
        let mut settled = self.settled.subscribe();
        self.hurry.notify_one();
        let reached = settled.wait_for(|settled| *settled >= noted);
        let _in_time_or_not = timeout(SETTLE_WAIT, reached).await;
    }

    /// Writes down what was seen, until `stop`, and then what is left.
    pub async fn write(self: Arc<Self>, pool: PgPool, stop: CancellationToken) {
        let mut next_trim = Instant::now();
        while stop.run_until_cancelled(self.noted.notified()).await.is_some() {
            self.write_waiting(&pool, &stop).await;
            if Instant::now() >= next_trim {
                next_trim = Instant::now() + TRIM_EVERY;
                // The next one takes away what this one could not.
                let _late_or_not =
                    timeout(WRITE_PATIENCE, requests::trim(&pool, Most::default())).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.hurry.notified() => {}
                () = sleep(WRITE_EVERY) => {}
            }
        }
        self.write_waiting(&pool, &stop).await;
    }

    async fn write_waiting(&self, pool: &PgPool, stop: &CancellationToken) {
        let (requests, noted) = self.waiting().empty();
        if requests.is_empty() {
            return;
        }
        for attempt in 1.. {
            let problem = match timeout(WRITE_PATIENCE, requests::record(pool, &requests)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            if attempt == MAX_TRIES || stop.is_cancelled() {
                tracing::warn!(
                    problem,
                    rows = requests.len(),
                    "a part of the security log is lost"
                );
                self.dropped.add(requests.len() as u64, &[]);
                break;
            }
            stop.run_until_cancelled(sleep(WRITE_EVERY)).await;
        }
        self.settled.send_replace(noted);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl SecurityLog {
    /// What was noted since the last time.
    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.waiting().empty().0
    }
}

/// The request's id and its trace are those of the span that this runs in.
fn log(request: &SeenRequest) {
    let SeenRequest { code, user_id, method, path, rule_id, policy_version, .. } = request;
    let user = user_id.map(tracing::field::display);
    let rule = rule_id.map(tracing::field::display);
    tracing::info!(
        target: "security",
        // First, because the macro cannot tell a dotted name from its own syntax here.
        refused = code,
        user.id = user, http.method = method, http.path = path, rule.id = rule,
        policy.version = policy_version,
        "a request was refused, or has changed something"
    );
}

#[cfg(test)]
mod tests;
