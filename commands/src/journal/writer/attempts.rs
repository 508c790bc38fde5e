//! Sending a batch until it is answered, each command exactly once.

use super::{ANSWER_MARGIN, LONGEST_PAUSE, Writer};
use crate::journal::batch::{self, Batch};
use crate::journal::clock::Clock;
use crate::journal::failure::{Failure, READ_ONLY};
use crate::journal::session::Session;
use crate::journal::{AppendError, Appended};
use domain::Position;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::info;

/// The first pause between two tries of what failed: about what a restart of the database takes.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A batch, or a part of one, that is still to be answered.
pub(super) struct Part {
    pub(super) batch: Batch,
    /// It was sent over a connection that was lost.
    pub(super) resent: bool,
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
    pub(super) async fn append(&mut self, batch: Batch) -> Option<Position> {
        self.append_parts(vec![Part { batch, resent: false }]).await
    }

    pub(super) async fn append_parts(&mut self, mut parts: Vec<Part>) -> Option<Position> {
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
}

/// Whether the command made its transaction one that waits for the standby. What is found there otherwise, an
/// outcome that is repeated or a state in which there is nothing to do, another transaction has committed, and it
/// may be on one host only.
pub(super) fn has_written(outcome: &Appended) -> bool {
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
