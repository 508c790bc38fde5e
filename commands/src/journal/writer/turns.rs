//! Turns: whoever was overtaken decides while nobody else can append.

use super::attempts::{Part, has_written};
use super::{ANSWER_MARGIN, Queue, Writer};
use crate::journal::batch::{self, Batch};
use crate::journal::{Job, QUEUE_COMMANDS, Turn};
use domain::Position;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// The most who have a turn together: what they decide fits into one batch.
pub(super) const MAX_TURNS: usize = 64;

/// How long the lock is kept for those who decide: a cold load of each stream, at the same time. Who is
/// late decides on what may be overtaken, as without a turn.
const TURN_LENGTH: Duration = Duration::from_millis(250);

impl Writer {
    /// Takes the lock that orders all appends, lets everybody who asked decide, and appends what they
    /// decided, which nobody can have overtaken. Returns the journal's head.
    pub(super) async fn give_turns(
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
}
