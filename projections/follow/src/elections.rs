//! Which of all processes does something that one of them should do: whoever holds its advisory lock.
//!
//! One session of a process holds all its locks, so that fifteen read models on ten processes are ten sessions
//! that stand for election. The server gives the locks up when the session ends, and ends the session when
//! nothing was heard from it for a moment: a process that was killed is followed within a poll, one that hangs, or
//! whose machine is gone, within two seconds.
//!
//! Two who believe that they were elected do no harm: a lease saves work, and a checkpoint keeps effects exact.

use crate::patience::within_patience;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the locks of others are asked for, and the server hears from us.
const POLL: Duration = Duration::from_millis(250);

/// When the server gives up on a session: four missed polls. With a poll of somebody else's, and half a second
/// to begin, what the holder did is done by another one within two seconds.
const SILENCE_MS: u32 = 1_200;

/// A server that does not answer by then is treated as gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause before the next session.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What one process of all does: the class of the lock, from [`domain::locks`], and a name.
type Office = (i32, String);

/// Stands for election on behalf of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Elections(Arc<Shared>);

#[derive(Default)]
struct Shared {
    offices: Mutex<Offices>,
    /// Somebody asks for an office, or resigns.
    changed: Notify,
    /// The database answers: an office that is not ours is somebody else's.
    is_answered: AtomicBool,
}

#[derive(Default)]
struct Offices {
    candidacies: BTreeMap<Office, Candidacy>,
    /// Whose locks are to be given back.
    resigned: Vec<Office>,
}

/// How an office stands in this process.
#[derive(Default)]
struct Candidacy {
    /// The lock is ours until the lease goes, or the session.
    held: Option<CancellationToken>,
    waiting: VecDeque<oneshot::Sender<Lease>>,
}

/// Held while this value lives, and lost when the session is.
pub struct Lease {
    office: Office,
    lost: CancellationToken,
    shared: Arc<Shared>,
}

impl fmt::Debug for Elections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elections").finish_non_exhaustive()
    }
}

impl Elections {
    /// Nobody is elected until somebody runs [`hold`](Self::hold).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds them in the background until `cancel`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(connect: PgConnectOptions, cancel: CancellationToken) -> Self {
        let elections = Self::new();
        let holder = elections.clone();
        tokio::spawn(async move { holder.hold(connect, cancel).await });
        elections
    }

    /// Holds the elections over a session of its own until `cancel`; then all leases are lost.
    pub async fn hold(&self, connect: PgConnectOptions, cancel: CancellationToken) {
        let connect = connect.application_name("gomall elections");
        let _over = Over(&self.0);
        while let Err(error) = self.session(&connect, &cancel).await {
            self.0.lose_all();
            warn!(%error, "the session that holds this process's leases has ended");
            cancel.run_until_cancelled(sleep(RETRY_PAUSE)).await;
        }
    }

    /// Waits until this process is elected. Of several who wait in it, one after the other is.
    pub async fn elected(&self, class: i32, name: &str) -> Lease {
        loop {
            if let Ok(lease) = self.0.ask((class, name.to_owned())).await {
                return lease;
            }
        }
    }

    /// Whether the database answers: then an office that is not ours is somebody else's.
    #[must_use]
    pub fn are_held(&self) -> bool {
        self.0.is_answered.load(Ordering::Relaxed)
    }

    async fn session(
        &self,
        connect: &PgConnectOptions,
        cancel: &CancellationToken,
    ) -> Result<(), sqlx::Error> {
        let mut conn = patiently(open(connect)).await?;
        while !cancel.is_cancelled() {
            let (asked, resigned) = self.0.open_questions();
            for (class, name) in resigned {
                patiently(
                    sqlx::query("select pg_advisory_unlock($1, hashtext($2))")
                        .bind(class)
                        .bind(&name)
                        .execute(&mut conn),
                )
                .await?;
            }
            let (classes, names): (Vec<i32>, Vec<String>) = asked.iter().cloned().unzip();
            // Never the waiting form of the lock: a statement that waits keeps a snapshot open, which keeps the
            // whole database from being vacuumed. Without a question it is a sign of life.
            let ours: Vec<(i32, String)> = patiently(
                sqlx::query_as(
                    "select class, name from unnest($1::int[], $2::text[]) as asked (class, name) \
                     where pg_try_advisory_lock(class, hashtext(name))",
                )
                .bind(classes)
                .bind(names)
                .fetch_all(&mut conn),
            )
            .await?;
            self.0.is_answered.store(true, Ordering::Relaxed);
            for office in ours {
                Shared::elect(&self.0, office);
            }
            let asked_or_time = timeout(POLL, self.0.changed.notified());
            cancel.run_until_cancelled(asked_or_time).await;
        }
        // The next one need not wait until the server has noticed.
        patiently(conn.close()).await
    }
}

impl Lease {
    /// Returns when the lease is not ours any more.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether it is not ours any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut offices = self.shared.lock();
        // Otherwise the lock went with its session.
        if !self.lost.is_cancelled() {
            self.lost.cancel();
            if let Some(candidacy) = offices.candidacies.get_mut(&self.office) {
                candidacy.held = None;
            }
            offices.resigned.push(self.office.clone());
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    /// What to ask the database for, and what to give back before.
    fn open_questions(&self) -> (Vec<Office>, Vec<Office>) {
        let mut offices = self.lock();
        offices.candidacies.retain(|_, candidacy| {
            candidacy.waiting.retain(|waiting| !waiting.is_closed());
            candidacy.held.is_some() || !candidacy.waiting.is_empty()
        });
        let asked = offices.candidacies.iter().filter(|(_, candidacy)| candidacy.held.is_none());
        let asked = asked.map(|(office, _)| office.clone()).collect();
        (asked, std::mem::take(&mut offices.resigned))
    }

    fn ask(&self, office: Office) -> oneshot::Receiver<Lease> {
        let (tell, told) = oneshot::channel();
        self.lock().candidacies.entry(office).or_default().waiting.push_back(tell);
        self.changed.notify_one();
        told
    }

    fn elect(shared: &Arc<Self>, office: Office) {
        let lost = CancellationToken::new();
        let mut offices = shared.lock();
        let candidacy = offices.candidacies.entry(office.clone()).or_default();
        candidacy.held = Some(lost.clone());
        let waiting = candidacy.waiting.pop_front();
        drop(offices);
        let lease = Lease { office, lost, shared: Arc::clone(shared) };
        if let Some(waiting) = waiting {
            // Whoever has left meanwhile resigns by it.
            drop(waiting.send(lease));
        }
    }

    fn lose_all(&self) {
        self.is_answered.store(false, Ordering::Relaxed);
        let mut offices = self.lock();
        offices.resigned.clear();
        for candidacy in offices.candidacies.values_mut() {
            if let Some(lost) = candidacy.held.take() {
                lost.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Offices> {
        self.offices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes all leases away when nobody holds elections any more, however that came.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lose_all();
    }
}

async fn open(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut conn = PgConnection::connect_with(connect).await?;
    sqlx::query(&format!("set idle_session_timeout = {SILENCE_MS}")).execute(&mut conn).await?;
    Ok(conn)
}

async fn patiently<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within_patience(PATIENCE, asked).await
}
