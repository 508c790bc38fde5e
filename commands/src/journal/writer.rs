//! The writer task: the one place in a process that appends.

use super::batch::{self, Batch};
use super::clock::Clock;
use super::failure::{Failure, READ_ONLY};
use super::session::{self, Backend, Session};
use super::{AppendError, Appended, Job, QUEUE_COMMANDS, Turn};
use crate::counters::Counters;
use domain::Position;
use sqlx::postgres::PgConnectOptions;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

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

/// The most who have a turn together: what they decide fits into one batch.
const MAX_TURNS: usize = 64;

/// How long the lock is kept for those who decide: a cold load of each stream, at the same time. Who is
/// late decides on what may be overtaken, as without a turn.
const TURN_LENGTH: Duration = Duration::from_millis(250);

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
    async fn append(&mut self, batch: Batch) -> Option<Position> {
        self.append_parts(vec![Part { batch, resent: false }]).await
    }

    async fn append_parts(&mut self, mut parts: Vec<Part>) -> Option<Position> {
        self.counters.asks();
        let deadline = Instant::now() + self.settings.give_up_after;
        let (mut head, mut trouble, mut pause) = (None, None, FIRST_PAUSE);
        loop {
            let (mut later, mut met) = (vec![], None);
            let mut round = parts.into_iter();
            for mut part in round.by_ref() {
                let failure = match self.send(&part).await {
                    Ok((outcomes, position)) => {
                        self.counters.was_answered();
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
                if failure == Failure::Data {
                    self.counters.was_answered();
                }
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

    /// Takes the lock that orders all appends, lets everybody who asked decide, and appends what they
    /// decided, which nobody can have overtaken. Returns the journal's head.
    async fn give_turns(
        &mut self,
        asked: Vec<oneshot::Sender<Turn>>,
        queue: &mut Queue,
    ) -> Option<Position> {
        let Ok(mut session) = self.session().await else { return None };
        let patience = self.settings.append_timeout + ANSWER_MARGIN;
        if !matches!(timeout(patience, session.begin_turn()).await, Ok(Ok(()))) {
            // Whoever asked decides without.
            self.left = Some(session.backend);
            return None;
        }
        self.turn += 1;
        let (over, mut all_over) = mpsc::channel(1);
        for asked in asked {
            let _ = asked.send(Turn { number: self.turn, _over: over.clone() });
        }
        drop(over);
        let mut batch = Batch::default();
        let mut take = |job: Job, aside: &mut VecDeque<Job>| {
            let is_ours = job.turn == Some(self.turn);
            let kept = if is_ours { batch.offer(job).err() } else { Some(job) };
            aside.extend(kept);
        };
        let collecting = async {
            loop {
                tokio::select! {
                    Some(job) = queue.jobs.recv(), if queue.aside.len() < QUEUE_COMMANDS => {
                        take(job, &mut queue.aside);
                    }
                    _ = all_over.recv() => break,
                }
            }
        };
        let _in_time_or_not = timeout(TURN_LENGTH, collecting).await;
        while queue.aside.len() < QUEUE_COMMANDS
            && let Ok(job) = queue.jobs.try_recv()
        {
            take(job, &mut queue.aside);
        }
        if batch.is_empty() {
            if matches!(timeout(patience, session.end_turn("rollback")).await, Ok(Ok(()))) {
                self.session = Some(session);
            }
            return None;
        }
        let began = Instant::now();
        let appending = async {
            let answer = batch::send(&mut session.connection, &batch, false, &self.clock).await?;
            session.end_turn("commit").await?;
            if session.waits_for_standby && !answer.0.iter().any(has_written) {
                session.confirm().await?;
            }
            Ok::<_, sqlx::Error>(answer)
        };
        let Ok(Ok((outcomes, head))) = timeout(patience, appending).await else {
            // With its connection the turn is over; whether it was committed the usual way finds out.
            self.left = Some(session.backend);
            return self.append_parts(vec![Part { batch, resent: true }]).await;
        };
        self.session = Some(session);
        self.counters.batch_done(&outcomes, began.elapsed());
        Some(batch.answer(outcomes, head))
    }

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

    /// Sends a part once, and keeps the connection if that is as good as before.
    async fn send(&mut self, part: &Part) -> Result<(Vec<Appended>, Position), Untold> {
        let mut session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                self.say(&error, "the journal cannot be reached");
                return Err(Untold::NotSent);
            }
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
                let failure = Failure::on(&error, session.is_standby);
                let is_kept = match &failure {
                    Failure::Lost => false,
                    Failure::Data | Failure::Clock => true,
                    Failure::Passing { elsewhere, .. } => !elsewhere,
                    Failure::Hopeless(AppendError::Refused(code)) if code == READ_ONLY => {
                        // The setting came with the session, and may be another one for the next.
                        session.opened.elapsed() < LONGEST_PAUSE
                    }
                    Failure::Hopeless(_) => true,
                };
                if is_kept {
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

/// Whether the command made its transaction one that waits for the standby. What is found there otherwise, an
/// outcome that is repeated or a state in which there is nothing to do, another transaction has committed, and it
/// may be on one host only.
fn has_written(outcome: &Appended) -> bool {
    matches!(outcome, Appended::Done { positions: Some(_), .. })
}

async fn append(
    session: &mut Session,
    part: &Part,
    clock: &Clock,
) -> Result<(Vec<Appended>, Position), sqlx::Error> {
    let answer = batch::send(&mut session.connection, &part.batch, part.resent, clock).await?;
    let has_waited = !session.waits_for_standby || answer.0.iter().any(has_written);
    if part.resent || !has_waited {
        session.confirm().await?;
    }
    Ok(answer)
}
