//! What the guard decides on, kept current: users and sessions from the journal, the policy as it
//! changes.

use crate::guard::{AccessCache, AccessSource, LivePolicy, SessionAccess, Unavailable, UserAccess};
use async_trait::async_trait;
use commands::bus::Bus;
use commands::journal::{JournalReader, Tail};
use cqrs_es::Aggregate;
use domain::policy::{CompiledPolicy, Policy};
use domain::session::Session;
use domain::user::User;
use domain::{Cursor, EventSource, RecordedEvent, SessionId, SourceError, StreamKey, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The id of the one policy.
pub const POLICY_ID: &str = "shop";

/// Events taken at once.
const BATCH_EVENTS: usize = 1_000;

/// The pause after a failed read.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How often the rules in force are compared with the journal: three misses are forgiven before they
/// are no longer believed.
const CONFIRM_EVERY: Duration = Duration::from_secs(8);

/// How long one comparison may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

/// Users and sessions as the journal has them.
pub struct JournalAccess(pub Arc<Bus>);

#[async_trait]
impl AccessSource for JournalAccess {
    async fn user(&self, user_id: UserId) -> Result<UserAccess, Unavailable> {
        let user = self.0.load::<User>(&user_id).await;
        let user = user.map_err(|error| Unavailable(error.into()))?;
        Ok(UserAccess::of(&user.state, user.sequence))
    }

    async fn session(&self, session_id: SessionId) -> Result<SessionAccess, Unavailable> {
        let session = self.0.load::<Session>(&session_id).await;
        let session = session.map_err(|error| Unavailable(error.into()))?;
        Ok(SessionAccess::of(&session.state, session.sequence))
    }
}

/// The policy as the journal has it.
///
/// # Errors
/// When it cannot be read or compiled; the message is for the log.
pub async fn load_policy(
    bus: &Bus,
) -> Result<CompiledPolicy, Box<dyn std::error::Error + Send + Sync>> {
    let policy = bus.load::<Policy>(POLICY_ID).await?;
    Ok(CompiledPolicy::compile(&policy.state, policy.sequence)?)
}

/// Follows the journal's end: whatever changes who may do what is in force here a moment after it
/// was committed anywhere.
pub async fn follow(
    bus: Arc<Bus>,
    tail: Tail,
    after: Cursor,
    cache: Arc<AccessCache>,
    policy: Arc<LivePolicy>,
    cancel: CancellationToken,
) {
    let mut cursor = after;
    let mut policy_is_old = policy.is_awaited();
    while !cancel.is_cancelled() {
        match tail.read_after(cursor, BATCH_EVENTS).await {
            Ok(events) => {
                for event in &events {
                    cursor = Cursor::behind(event);
                    note_change(&cache, event).await;
                    policy_is_old |= event.aggregate_type == Policy::TYPE;
                }
                if policy_is_old {
                    policy_is_old = !reload(&bus, &policy).await;
                }
                if !events.is_empty() {
                    continue;
                }
            }
            Err(SourceError::OtherHistory(_)) => {
                // Whatever is remembered may be of events that are gone, and what changed instead is
                // not known: everything is read again, and then followed from the present end.
                cursor = tail.end();
                cache.forget_all();
                policy.begin_anew();
                policy_is_old = true;
                pause(&cancel).await;
                continue;
            }
            Err(error) => {
                warn!(%error, "changes of permissions could not be read");
                pause(&cancel).await;
                continue;
            }
        }
        if policy_is_old {
            pause(&cancel).await;
        } else {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tail.wait_after(cursor.position) => {}
            }
        }
    }
}

async fn pause(cancel: &CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(RETRY_PAUSE) => {}
    }
}

/// Confirms again and again that the policy in force is the newest, past everything that brings news:
/// when none arrive it must not be served for ever.
pub async fn confirm(
    bus: Arc<Bus>,
    reader: JournalReader,
    policy: Arc<LivePolicy>,
    cancel: CancellationToken,
) {
    let (bus, reader, live) = (&*bus, &reader, &*policy);
    let is_newest = |version: u64| async move {
        let stream = StreamKey::of::<Policy>(POLICY_ID);
        let newer = reader.place_of(&stream, version + 1).await?;
        // News that did not arrive are fetched, and confirmed with them.
        Ok(newer.is_none() || reload(bus, live).await)
    };
    cancel.run_until_cancelled(confirm_by(live, is_newest)).await;
}

/// How long reading the rules may take, before it is tried again on another connection.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn confirm_by<F: Future<Output = Result<bool, Failure>>>(
    policy: &LivePolicy,
    is_newest: impl Fn(u64) -> F,
) {
    loop {
        let began = Instant::now();
        let asked = tokio::time::timeout(CONFIRM_TIMEOUT, is_newest(policy.current().version()));
        match asked.await {
            Ok(Ok(true)) => policy.confirm(began),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(%error, "the permission rules could not be confirmed"),
            Err(_) => warn!("the permission rules could not be confirmed in time"),
        }
        tokio::time::sleep_until(began + CONFIRM_EVERY).await;
    }
}

/// What an event changes of what is known of a user or a session.
async fn note_change(cache: &AccessCache, event: &RecordedEvent) {
    match event.aggregate_type.as_str() {
        User::TYPE => {
            if let Ok(user_id) = event.aggregate_id.parse() {
                cache.note_user_change(user_id, event.sequence).await;
            }
        }
        Session::TYPE => {
            if let Ok(session_id) = event.aggregate_id.parse() {
                cache.note_session_change(session_id, event.sequence).await;
            }
        }
        _ => {}
    }
}

/// Puts the newest policy in force; false when it has to be tried again.
async fn reload(bus: &Bus, live: &LivePolicy) -> bool {
    let began = Instant::now();
    let loaded = tokio::time::timeout(RELOAD_TIMEOUT, load_policy(bus)).await;
    match loaded.unwrap_or_else(|late| Err(late.into())) {
        Ok(policy) => {
            info!(policy.version = policy.version(), "permission rules are in force");
            live.replace(policy);
            live.confirm(began);
            true
        }
        Err(error) => {
            error!(%error, "the permission rules could not be put in force");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test(start_paused = true)]
    async fn rules_that_nobody_can_confirm_are_believed_for_half_a_minute() {
        let unchanged = CompiledPolicy::compile(&Policy::default(), 1).expect("it compiles");
        let (policy, away) = (LivePolicy::new(unchanged), AtomicBool::new(false));
        let is_newest = |_| async {
            match away.load(Ordering::Relaxed) {
                true => std::future::pending().await,
                false => Ok(true),
            }
        };
        let seconds = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
        let story = async {
            seconds(3_600).await;
            assert!(policy.is_believed(), "as long as it is confirmed");
            away.store(true, Ordering::Relaxed);
            seconds(20).await;
            assert!(policy.is_believed(), "for a while");
            seconds(11).await;
            assert!(!policy.is_believed(), "not for ever");
            away.store(false, Ordering::Relaxed);
            seconds(10).await;
            assert!(policy.is_believed(), "again");
        };
        tokio::select! {
            () = confirm_by(&policy, is_newest) => {}
            () = story => {}
        }
    }
}
