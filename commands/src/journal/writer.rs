//! The writer task: the one place in a process that appends.

use super::batch::{self, Batch};
use super::clock::Clock;
use super::failure::Failure;
use super::session::{self, Backend, Session};
use super::{AppendError, Appended, Job};
use crate::counters::Counters;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, info};

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

/// The first and the longest pause between two tries of what failed: the first is about what a restart of
/// the database takes, the longest keeps a database in trouble from being kept busy by us.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much longer than the server may work an answer is waited for. Then the connection has died, or the
/// backend is frozen.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Takes jobs until nobody can give any more.
pub(super) async fn run(
    connect: PgConnectOptions,
    mut jobs: mpsc::Receiver<Job>,
    head: watch::Sender<u64>,
    settings: WriterSettings,
    counters: Arc<Counters>,
    clock: Arc<Clock>,
) {
    let connect = session::options(connect, settings.append_timeout);
    let mut writer =
        Writer { connect, settings, counters, clock, session: None, left: None, said: None };
    let mut left_over: Option<Job> = None;
    loop {
        let first = match left_over.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => break,
            },
        };
        let mut batch = Batch::default();
        left_over = batch.offer(first).err();
        while left_over.is_none() {
            match jobs.try_recv() {
                Ok(job) => left_over = batch.offer(job).err(),
                Err(_) => break,
            }
        }
        if batch.is_empty() {
            continue;
        }
        if let Some(position) = writer.append(batch).await {
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
}

/// A batch, or a part of one, that is still to be answered.
struct Part {
    batch: Batch,
    /// It was sent over a connection that was lost.
    resent: bool,
}

impl Part {
    fn singles(self) -> impl Iterator<Item = Self> {
        let resent = self.resent;
        self.batch.split().map(move |batch| Self { batch, resent })
    }
}

/// What a try came to that was not answered.
enum Untold {
    /// There is no connection to send it over.
    NotSent,
    Failed(Failure),
}

impl Writer {
    /// Sends one batch until it is answered, each command exactly once. Returns the journal's head.
    ///
    /// What fails because of its data, or twice in the same way, is taken apart, so that only the guilty
    /// command is refused or waits, and its neighbours do not.
    async fn append(&mut self, batch: Batch) -> Option<u64> {
        let deadline = Instant::now() + self.settings.give_up_after;
        let mut parts = vec![Part { batch, resent: false }];
        let (mut head, mut trouble, mut pause) = (None, None, FIRST_PAUSE);
        loop {
            let (mut later, mut met) = (vec![], None);
            let mut round = parts.into_iter();
            while let Some(mut part) = round.next() {
                let failure = match self.send(&part).await {
                    Ok((outcomes, position)) => {
                        head = Some(part.batch.answer(outcomes, position));
                        continue;
                    }
                    Err(Untold::NotSent) => {
                        later.push(part);
                        met = Some(Failure::Lost);
                        break;
                    }
                    Err(Untold::Failed(failure)) => failure,
                };
                let is_whole = part.batch.jobs.len() > 1;
                match &failure {
                    Failure::Lost => {
                        part.resent = true;
                        later.push(part);
                    }
                    Failure::Data if is_whole => later.extend(part.singles()),
                    Failure::Data => part
                        .batch
                        .fail(&AppendError::Unstorable("the database refused its data".to_owned())),
                    Failure::Hopeless(error) => part.batch.fail(error),
                    Failure::Clock => part.batch.fail(&AppendError::ClockJumped),
                    Failure::Passing { .. } if is_whole && trouble.as_ref() == Some(&failure) => {
                        later.extend(part.singles());
                    }
                    Failure::Passing { .. } => later.push(part),
                }
                let is_lost = failure == Failure::Lost;
                met = Some(failure);
                if is_lost {
                    break;
                }
            }
            later.extend(round);
            if later.is_empty() {
                return head;
            }
            if Instant::now() >= deadline {
                later.into_iter().for_each(|part| part.batch.fail(&AppendError::Unreachable));
                return head;
            }
            // The first cut, and taking apart, are no signs of a database that wants to be left alone.
            let first_cut = met == Some(Failure::Lost) && trouble.is_none() && self.left.is_none();
            if !first_cut && met != Some(Failure::Data) {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(2 * pause);
            }
            (trouble, parts) = (met, later);
        }
    }

    /// Sends a part once, and keeps the connection if that is as good as before.
    async fn send(&mut self, part: &Part) -> Result<(Vec<Appended>, u64), Untold> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => match Session::open(&self.connect, &self.clock, self.left.as_ref()).await {
                Ok(session) => {
                    self.left = None;
                    session
                }
                Err(error) => {
                    self.say(&error, "the journal cannot be reached");
                    return Err(Untold::NotSent);
                }
            },
        };
        let began = Instant::now();
        let patience = self.settings.append_timeout + ANSWER_MARGIN;
        let answered = timeout(patience, append(&mut session, part, &self.clock)).await;
        match answered {
            Ok(Ok((outcomes, head))) => {
                self.session = Some(session);
                if self.said.take().is_some() {
                    info!("the journal takes commands again");
                }
                self.counters.batch_done(&outcomes, began.elapsed());
                self.clock.follow(&outcomes, began.elapsed());
                Ok((outcomes, head))
            }
            Ok(Err(error)) => {
                let failure = Failure::of(&error);
                let elsewhere = matches!(failure, Failure::Passing { elsewhere: true, .. });
                if failure != Failure::Lost && !elsewhere {
                    self.session = Some(session);
                }
                self.say(&error, "an append failed");
                Err(Untold::Failed(failure))
            }
            Err(_) => {
                self.left = Some(session.backend);
                self.say(&"no answer in time", "an append was given up; its backend is ended");
                Err(Untold::Failed(Failure::Lost))
            }
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

async fn append(
    session: &mut Session,
    part: &Part,
    clock: &Clock,
) -> Result<(Vec<Appended>, u64), sqlx::Error> {
    let answer = batch::send(&mut session.connection, &part.batch, part.resent, clock).await?;
    // What another transaction has committed may be on this host only.
    let is_old = |outcome: &Appended| matches!(outcome, Appended::Replay(_));
    if part.resent || (session.waits_for_standby && answer.0.iter().any(is_old)) {
        session.confirm().await?;
    }
    Ok(answer)
}
