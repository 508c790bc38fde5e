//! What must be known about a user and a session for every request, remembered for a moment.
//!
//! **Guarantee.** An answer is never older than the newest change that this process was told of
//! ([`AccessCache::note_user_change`]), and never older than half a minute even if it was told nothing.

use crate::http::Problem;
use async_trait::async_trait;
use domain::session::Session;
use domain::user::{ApiKey, User};
use domain::{ApiKeyId, RoleName, SessionId, Timestamp, UserId};
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// The oldest that an answer may be when the news of changes do not reach us.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// How long one load may take before the request is told to come back.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a change is remembered: longer than an answer can be in use that was being loaded when
/// the change happened, which is the two times above.
const CHANGE_KEPT_FOR: Duration = Duration::from_secs(60);

/// The most users, and the most sessions, that are remembered.
const MAX_REMEMBERED: u64 = 100_000;

/// How often an answer that was overtaken by a change is loaded again within one request.
const MAX_LOADS: u32 = 3;

/// What a request needs to know about a user. `Default` is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAccess {
    /// The sequence of the last event that this is based on.
    pub sequence: u64,
    /// Registered and not erased.
    pub exists: bool,
    /// The roles that were granted.
    pub roles: Arc<BTreeSet<RoleName>>,
    /// The ban that was last spoken and not lifted: until when, and for ever if that is absent.
    pub ban: Option<Option<Timestamp>>,
    /// How often all their sessions have ended: those of another epoch are over.
    pub session_epoch: u32,
    /// Whether a second factor is asked for.
    pub has_second_factor: bool,
    /// The keys that programs act for them with.
    pub api_keys: Arc<BTreeMap<ApiKeyId, ApiKey>>,
}

impl UserAccess {
    /// What the aggregate at `sequence` says.
    #[must_use]
    pub fn of(user: &User, sequence: u64) -> Self {
        Self {
            sequence,
            exists: user.exists(),
            roles: Arc::new(user.roles.clone()),
            ban: user.ban.as_ref().map(|ban| ban.until),
            session_epoch: user.session_epoch,
            has_second_factor: user.second_factor.is_asked_for(),
            api_keys: Arc::new(user.api_keys.clone()),
        }
    }

    /// Whether a ban is in force at `now`.
    #[must_use]
    pub fn is_banned(&self, now: Timestamp) -> bool {
        self.ban.is_some_and(|until| until.is_none_or(|until| now < until))
    }
}

/// What a request needs to know about a session. `Default` is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionAccess {
    /// The sequence of the last event that this is based on.
    pub sequence: u64,
    /// Whose it is; absent when there is no such session.
    pub user_id: Option<UserId>,
    /// When it ends if nothing ends it before; absent when it has been ended, or never was.
    pub live_until: Option<Timestamp>,
    /// The user's `session_epoch` that it belongs to.
    pub epoch: u32,
    /// When whoever holds it last proved who they are; absent when that is not known.
    pub proved_at: Option<Timestamp>,
    /// Whether they ever did with a second factor.
    pub second_factor: bool,
}

impl SessionAccess {
    /// What the aggregate at `sequence` says.
    #[must_use]
    pub fn of(session: &Session, sequence: u64) -> Self {
        let live_until = session.expires_at.filter(|_| session.revoked.is_none());
        Self {
            sequence,
            user_id: session.user_id,
            live_until,
            epoch: session.epoch,
            proved_at: session.proved_at,
            second_factor: session.second_factor,
        }
    }

    /// Whether tokens of this session are accepted at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.live_until.is_some_and(|until| now < until)
    }
}

/// The truth about users and sessions could not be read. Trying again later is right.
#[derive(Debug, thiserror::Error)]
#[error("users and sessions cannot be read: {0}")]
pub struct Unavailable(pub Box<dyn std::error::Error + Send + Sync>);

/// Whoever knows the truth: the journal, through the command bus. Each answer must be at least as
/// new as every event that was committed before it was asked for.
#[async_trait]
pub trait AccessSource: Send + Sync + 'static {
    /// The user, known or not.
    async fn user(&self, user_id: UserId) -> Result<UserAccess, Unavailable>;

    /// The session, known or not.
    async fn session(&self, session_id: SessionId) -> Result<SessionAccess, Unavailable>;
}

/// Users and sessions, remembered for a moment.
pub struct AccessCache {
    source: Arc<dyn AccessSource>,
    users: Memory<UserId, UserAccess>,
    sessions: Memory<SessionId, SessionAccess>,
}

impl AccessCache {
    /// An empty cache before `source`.
    #[must_use]
    pub fn new(source: Arc<dyn AccessSource>) -> Self {
        let users = Memory::new(|user: &UserAccess| user.sequence);
        let sessions = Memory::new(|session: &SessionAccess| session.sequence);
        Self { source, users, sessions }
    }

    /// Whoever follows the journal says here that the user has an event `sequence`: nothing older is
    /// used from now on, not even what is just being loaded.
    pub async fn note_user_change(&self, user_id: UserId, sequence: u64) {
        self.users.note_change(user_id, sequence).await;
    }

    /// The same of a session.
    pub async fn note_session_change(&self, session_id: SessionId, sequence: u64) {
        self.sessions.note_change(session_id, sequence).await;
    }

    /// Forgets every answer: the journal tells another history than the one that they are of.
    pub fn forget_all(&self) {
        self.users.forget_all();
        self.sessions.forget_all();
    }

    pub(super) async fn user(&self, id: UserId) -> Result<Arc<UserAccess>, Problem> {
        self.users.get(id, || self.source.user(id)).await
    }

    pub(super) async fn session(&self, id: SessionId) -> Result<Arc<SessionAccess>, Problem> {
        self.sessions.get(id, || self.source.session(id)).await
    }
}

/// One kind of answers by id, and the changes that make answers too old.
struct Memory<K, T> {
    answers: Cache<K, Arc<T>>,
    /// The lowest sequence that an answer may be based on, where that is known.
    changes: Cache<K, u64>,
    sequence_of: fn(&T) -> u64,
}

impl<K, T> Memory<K, T>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    fn new(sequence_of: fn(&T) -> u64) -> Self {
        // The default policy may turn a new entry away; here the newest must always be kept.
        let lru = EvictionPolicy::lru;
        let answers = Cache::builder().max_capacity(MAX_REMEMBERED).eviction_policy(lru());
        let changes = Cache::builder().max_capacity(MAX_REMEMBERED).eviction_policy(lru());
        Self {
            answers: answers.time_to_live(FRESH_FOR).build(),
            changes: changes.time_to_live(CHANGE_KEPT_FOR).build(),
            sequence_of,
        }
    }

    fn forget_all(&self) {
        // What is being loaded now is of the new history; the changes of the old one would keep it
        // from ever being used.
        self.changes.invalidate_all();
        self.answers.invalidate_all();
    }

    async fn note_change(&self, id: K, sequence: u64) {
        self.changes
            .entry(id)
            .and_compute_with(async |known| match known {
                Some(known) if known.value() >= &sequence => Op::Nop,
                _ => Op::Put(sequence),
            })
            .await;
    }

    async fn get<F>(&self, id: K, load: impl Fn() -> F) -> Result<Arc<T>, Problem>
    where
        F: Future<Output = Result<T, Unavailable>> + Send,
    {
        for _ in 0..MAX_LOADS {
            let answer = self.answers.try_get_with(id, bounded(load())).await;
            let answer = answer.map_err(|unavailable| Problem::unavailable(&*unavailable))?;
            let least = self.changes.get(&id).await.unwrap_or(0);
            if (self.sequence_of)(&answer) >= least {
                return Ok(answer);
            }
            self.answers.invalidate(&id).await;
        }
        Err(Problem::unavailable(&Unavailable("every answer was overtaken by a change".into())))
    }
}

async fn bounded<T>(
    load: impl Future<Output = Result<T, Unavailable>>,
) -> Result<Arc<T>, Unavailable> {
    match tokio::time::timeout(LOAD_TIMEOUT, load).await {
        Ok(loaded) => loaded.map(Arc::new),
        Err(elapsed) => Err(Unavailable(elapsed.into())),
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
