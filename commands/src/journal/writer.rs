//! The writer task: the one place in a process that appends.

mod attempts;
mod turns;

use super::batch::Batch;
use super::clock::Clock;
use super::session::{self, Backend, Session};
use super::{Job, Turn};
use crate::counters::Counters;
use domain::Position;
use sqlx::postgres::PgConnectOptions;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{error, info, warn};
use turns::MAX_TURNS;

/// How the writer behaves when the database is away.
#[derive(Debug, Clone, Copy)]
pub struct WriterSettings {
    /// How long a batch is tried before its commands are told that the database is unreachable.
    pub give_up_after: Duration,
    /// How long the server works on one append, waiting for other processes' batches included. What it
    /// gives up is not done, for certain, and the connection is as good as before.
    pub append_timeout: Duration,
}

impl Default for WriterSettings {
    fn default() -> Self {
        // Longer than a fail-over of PostgreSQL under a supervisor, shorter than a client's
        // patience.
        let append_timeout = Duration::from_secs(8);
        Self { give_up_after: Duration::from_secs(20), append_timeout }
    }
}

/// The longest pause between two tries of what failed: it keeps a database in trouble from being kept busy
/// by us.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much longer than the server may work an answer is waited for. Then the connection has died, or the
/// backend is frozen.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Takes jobs until nobody can give any more.
pub(super) async fn run(
    connect: PgConnectOptions,
    jobs: mpsc::Receiver<Job>,
    mut turns: mpsc::Receiver<oneshot::Sender<Turn>>,
    head: watch::Sender<Position>,
    settings: WriterSettings,
    counters: Arc<Counters>,
    clock: Arc<Clock>,
) {
    let connect = session::options(connect, settings.append_timeout);
    let mut writer = Writer {
        connect,
        settings,
        counters,
        clock,
        session: None,
        left: None,
        said: None,
        weaknesses: vec![],
        turn: 0,
    };
    // Now, so that what the database does not promise is said at the start, and not at the first command.
    if let Ok(session) = writer.session().await {
        writer.session = Some(session);
    }
    let mut queue = Queue { jobs, aside: VecDeque::new() };
    loop {
        let position = tokio::select! {
            first = queue.next() => {
                let Some(first) = first else { break };
                writer.append(queue.gather(first)).await
            }
            Some(asked) = turns.recv() => {
                let mut all = vec![asked];
                while all.len() < MAX_TURNS && let Ok(asked) = turns.try_recv() {
                    all.push(asked);
                }
                writer.give_turns(all, &mut queue).await
            }
            () = tokio::time::sleep(LONGEST_PAUSE), if writer.counters.unanswered_for().is_some() => {
                writer.ask().await;
                None
            }
        };
        if let Some(position) = position {
            // Also back: after a fail-over that lost commits the journal ends before.
            head.send_if_modified(|known| std::mem::replace(known, position) != position);
        }
        // Those who were answered just now are about to give their next command. Let them: taken at
        // once, the first of them would have a commit to himself, and all others wait for it.
        tokio::task::yield_now().await;
    }
    if let Some(session) = writer.session {
        session.close().await;
    }
    info!("the journal's writer has finished its queue");
}

struct Writer {
    connect: PgConnectOptions,
    settings: WriterSettings,
    counters: Arc<Counters>,
    clock: Arc<Clock>,
    session: Option<Session>,
    /// A backend that did not answer in time; it is ended before anything is sent again.
    left: Option<Backend>,
    /// What was said of the last trouble, so that it is said once.
    said: Option<String>,
    /// What was said of acknowledgements that are worth less than they say.
    weaknesses: Vec<&'static str>,
    /// The number of the last turn.
    turn: u64,
}

/// Jobs in the order in which they came, those first that had to wait.
struct Queue {
    jobs: mpsc::Receiver<Job>,
    aside: VecDeque<Job>,
}

impl Queue {
    async fn next(&mut self) -> Option<Job> {
        match self.aside.pop_front() {
            Some(job) => Some(job),
            None => self.jobs.recv().await,
        }
    }

    /// Whatever is waiting, as far as it fits into one batch.
    fn gather(&mut self, first: Job) -> Batch {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            if let Err(job) = batch.offer(job) {
                self.aside.push_front(job);
                break;
            }
            next = self.aside.pop_front().or_else(|| self.jobs.try_recv().ok());
        }
        batch
    }
}

impl Writer {
    /// The connection that there is, or a new one.
    async fn session(&mut self) -> Result<Session, sqlx::Error> {
        let kept = match self.session.take() {
            Some(session) => session.looked_at(&self.clock).await.ok(),
            None => None,
        };
        let session = match kept {
            Some(session) => session,
            None => Session::open(&self.connect, &self.clock, self.left.as_ref()).await?,
        };
        self.left = None;
        if self.weaknesses != session.not_durable {
            self.weaknesses.clone_from(&session.not_durable);
            for what in &self.weaknesses {
                warn!("acknowledged commands can be lost: {what}");
            }
        }
        Ok(session)
    }

    /// Asks the database for an answer when a batch was given up and nobody has come since: whether the trouble is
    /// over must not wait for the next command.
    async fn ask(&mut self) {
        let Ok(mut session) = self.session().await else { return };
        let patience = self.settings.append_timeout + ANSWER_MARGIN;
        match timeout(patience, session.confirm()).await {
            Ok(Ok(())) => {
                self.session = Some(session);
                self.counters.was_answered();
            }
            Ok(Err(_)) => {}
            Err(_) => self.left = Some(session.backend),
        }
    }

    /// Says it once, however often it happens in a row.
    fn say(&mut self, error: &dyn std::fmt::Display, what: &'static str) {
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            error!(error = text, "{what}");
            self.said = Some(text);
        }
    }
}
