//! One reader of the journal's end per process, fanned out to everybody who follows it.
//!
//! What is remembered is believed only as long as the journal still has the last remembered event
//! where it was read: each poll asks. When it has not (a fail-over that lost commits, a restored
//! backup), the memory is emptied, whoever watches [`Tail::other_history`] is told what is lost as
//! far as this process knows it, and following goes on at the journal's present end.

use super::read::{JournalReader, ReadError};
use domain::{Cursor, EventSource, MAX_BATCH_BYTES, Position, RecordedEvent, SourceError};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

/// Events kept in memory: followers that are at most this far behind cost the database nothing.
/// Some 10 MB at usual event sizes.
const KEPT_EVENTS: usize = 8_192;

/// What they may take together: a few of the largest batches.
const KEPT_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// Events in one read.
const READ_EVENTS: usize = 1_000;

/// The pause after a failed read; the database's restart takes longer than a few of these.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long the tail waits for an answer before it drops the connection and asks on another one: a
/// second or two are what a silent connection may cost all followers.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// How long a follower waits before it looks again by itself. The tail polls for everybody, so
/// this only bounds a lost wake-up.
const FOLLOWER_WAIT: Duration = Duration::from_secs(1);

/// Lost events that are told one by one; beyond them only their number.
pub const TOLD_LOST_EVENTS: usize = 1_000;

/// Follows the journal and serves its latest events from memory, older ones from the database.
/// Cheap to clone.
#[derive(Clone)]
pub struct Tail {
    reader: JournalReader,
    recent: Arc<RwLock<Recent>>,
    head: watch::Receiver<Position>,
    other_history: watch::Receiver<OtherHistory>,
}

/// What a process knows of the last time that the journal told another history than before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherHistory {
    /// How often that was found in this process; 0 for never, and the rest means nothing then.
    pub times: u64,
    /// When that was; none for never.
    pub found_at: Option<Instant>,
    /// The event that was last read before.
    pub believed: Cursor,
    /// The last position at which both histories are known to have the same event: of what this
    /// process remembers, so that they may part later; 0 when it remembers nothing that they share.
    pub common: Position,
    /// The journal's last event when this was found.
    pub end: Cursor,
    /// The first [`TOLD_LOST_EVENTS`] of the events behind `common` that this process read and that
    /// are in the journal no more, in order.
    pub lost: Vec<Arc<RecordedEvent>>,
    /// How many there are, as far as this process knows.
    pub lost_count: u64,
}

struct Recent {
    /// Consecutive positions, ending at `head`.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    /// Directly before the first of them.
    base: Cursor,
    head: Cursor,
}

impl Tail {
    /// Starts following at the journal's present end; the task ends with `cancel`.
    ///
    /// # Errors
    /// [`SourceError`] when the journal cannot be read at all.
    pub async fn start(
        reader: JournalReader,
        cancel: CancellationToken,
    ) -> Result<Self, SourceError> {
        let (tail, follow) = Self::open(reader, cancel).await?;
        tokio::spawn(follow);
        Ok(tail)
    }

    /// The same with the task as a future that the caller runs.
    ///
    /// # Errors
    /// [`SourceError`] when the journal cannot be read at all.
    pub async fn open(
        reader: JournalReader,
        cancel: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), SourceError> {
        let end = reader.end().await.map_err(SourceError::unavailable)?;
        let recent = Arc::new(RwLock::new(Recent::at(end)));
        let (head_sender, head) = watch::channel(end.position);
        let (other_sender, other_history) = watch::channel(OtherHistory::default());
        let tail = Self { reader, recent, head, other_history };
        let follow = follow(tail.clone(), head_sender, other_sender, cancel);
        Ok((tail, follow))
    }

    /// The last position that is known to be readable here. Goes back where the journal did.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    /// The last event that is known to be readable here, to go on behind it.
    #[must_use]
    pub fn end(&self) -> Cursor {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).head
    }

    /// What is known of the last time that the journal told another history; changes each time.
    #[must_use]
    pub fn other_history(&self) -> watch::Receiver<OtherHistory> {
        self.other_history.clone()
    }

    /// Begins anew at the journal's present end, and says what of the memory is lost.
    async fn begin_anew(&self, times: u64) -> Result<OtherHistory, ReadError> {
        let (base, believed, events) = {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            let events: Vec<_> = recent.events.iter().cloned().collect();
            (recent.base, recent.head, events)
        };
        let ids: Vec<(Position, Uuid)> = base
            .event_id
            .map(|event_id| (base.position, event_id))
            .into_iter()
            .chain(events.iter().map(|event| (event.position, event.event_id)))
            .collect();
        let common = self.reader.last_held(&ids).await?.unwrap_or_default();
        let end = self.reader.end().await?;
        *self.recent.write().unwrap_or_else(PoisonError::into_inner) = Recent::at(end);
        let lost = || events.iter().filter(|event| event.position > common);
        Ok(OtherHistory {
            times,
            found_at: Some(Instant::now()),
            believed,
            common,
            end,
            lost_count: lost().count() as u64,
            lost: lost().take(TOLD_LOST_EVENTS).cloned().collect(),
        })
    }
}

impl Recent {
    fn at(end: Cursor) -> Self {
        Self { events: VecDeque::new(), bytes: 0, base: end, head: end }
    }

    /// What is held after `after`; none when it does not reach back that far, or does not know the
    /// event that `after` names: then only the database can tell.
    fn after(&self, after: Cursor, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        if after.position < self.base.position {
            return None;
        }
        let skip = usize::try_from(self.base.position.lag(after.position)).ok()?;
        let there = match skip.checked_sub(1) {
            None => self.base,
            Some(index) => Cursor::behind(self.events.get(index)?),
        };
        if after.event_id.is_some() && there.event_id != after.event_id {
            return None;
        }
        let mut bytes = 0;
        let has_room = |event: &&Arc<RecordedEvent>| {
            let before = bytes;
            bytes += event.bytes();
            before < MAX_BATCH_BYTES
        };
        Some(self.events.iter().skip(skip).take(limit).take_while(has_room).cloned().collect())
    }

    fn remember(&mut self, events: Vec<Arc<RecordedEvent>>) {
        self.head = events.last().map_or(self.head, |event| Cursor::behind(event));
        self.bytes += events.iter().map(|event| event.bytes()).sum::<usize>();
        self.events.extend(events);
        while (self.events.len() > KEPT_EVENTS || self.bytes > KEPT_BYTES)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.base = Cursor::behind(&oldest);
        }
    }
}

impl EventSource for Tail {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner).after(after, limit);
        match recent {
            Some(events) => Ok(events),
            None => self.reader.read_after(after, limit).await,
        }
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        self.reader.stored(positions).await
    }

    async fn wait_after(&self, after: Position) {
        let mut head = self.head.clone();
        let told = async {
            if head.wait_for(|head| *head > after).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(FOLLOWER_WAIT, told).await;
    }
}

async fn follow(
    tail: Tail,
    head: watch::Sender<Position>,
    other_history: watch::Sender<OtherHistory>,
    cancel: CancellationToken,
) {
    while !cancel.is_cancelled() {
        let after = tail.end();
        let looked =
            tokio::time::timeout(LOOK_PATIENCE, tail.reader.read_after(after, READ_EVENTS));
        let late = || Err(SourceError::unavailable("PostgreSQL does not answer"));
        match looked.await.unwrap_or_else(|_| late()) {
            Ok(events) if events.is_empty() => {}
            Ok(events) => {
                tail.recent.write().unwrap_or_else(PoisonError::into_inner).remember(events);
                head.send_replace(tail.end().position);
                continue;
            }
            Err(SourceError::OtherHistory(_)) => {
                let times = other_history.borrow().times + 1;
                match tail.begin_anew(times).await {
                    Ok(found) => {
                        head.send_replace(found.end.position);
                        tell(&found);
                        other_history.send_replace(found);
                        continue;
                    }
                    Err(error) => warn!(%error, "the journal tells another history"),
                }
                pause(&cancel).await;
                continue;
            }
            Err(error) => {
                warn!(%error, "the journal's tail could not be read");
                pause(&cancel).await;
                continue;
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tail.reader.wait_after(after.position) => {}
        }
    }
}

async fn pause(cancel: &CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(RETRY_PAUSE) => {}
    }
}

fn tell(found: &OtherHistory) {
    error!(
        event.position = found.believed.position.get(),
        journal.common_position = found.common.get(),
        journal.end_position = found.end.position.get(),
        journal.lost_events = found.lost_count,
        "the journal tells another history than the one that was read: a fail-over or a restored \
         backup lost events; read models heal by themselves, the stream and mails need somebody: see \
         \"After a fail-over that lost commits\" in docs/operations.md"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn event(position: u64, bytes: usize) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent {
            position: Position::new(position),
            aggregate_type: "test".into(),
            aggregate_id: "a".into(),
            sequence: position,
            event_type: "Tested".into(),
            event_version: "1".into(),
            payload: "x".repeat(bytes),
            metadata: String::new(),
            event_id: Uuid::from_u128(u128::from(position)),
            recorded_at: OffsetDateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn memory_holds_the_newest_events_within_both_bounds() {
        let mut recent = Recent::at(Cursor::START);
        let large = KEPT_BYTES / 8;
        (1..=20).for_each(|position| recent.remember(vec![event(position, large)]));
        assert_eq!(recent.events.len(), 8);
        assert_eq!(recent.after(Cursor::at(Position::new(11)), 100), None, "somebody else has it");
        let positions = |events: Vec<Arc<RecordedEvent>>| {
            events.iter().map(|event| event.position.get()).collect::<Vec<_>>()
        };
        assert_eq!(
            recent.after(Cursor::at(Position::new(12)), 100).map(positions),
            Some(vec![13, 14]),
            "two are a batch"
        );

        let kept = u64::try_from(KEPT_EVENTS).expect("small");
        recent.remember((21..=20 + kept).map(|position| event(position, 1)).collect());
        assert_eq!((recent.events.len(), recent.bytes), (KEPT_EVENTS, KEPT_EVENTS));
        assert_eq!(recent.after(Cursor::at(Position::new(19)), 100), None, "it had to go");
        assert_eq!(
            recent.after(Cursor::at(Position::new(20)), 3).map(positions),
            Some(vec![21, 22, 23])
        );
        assert_eq!(
            recent.after(Cursor::at(Position::new(20 + kept)), 3),
            Some(vec![]),
            "there is none yet"
        );
    }

    #[test]
    fn a_reader_that_believes_another_event_is_sent_to_the_database() {
        let mut recent =
            Recent::at(Cursor { position: Position::new(7), event_id: Some(Uuid::from_u128(7)) });
        recent.remember((8..=9).map(|position| event(position, 1)).collect());
        let named = |position, id| Cursor {
            position: Position::new(position),
            event_id: Some(Uuid::from_u128(id)),
        };
        for position in 7..=9 {
            let held = recent.after(named(position, u128::from(position)), 100);
            assert_eq!(held.map(|events| events.len() as u64), Some(9 - position));
            assert_eq!(recent.after(named(position, 70), 100), None);
        }
        assert_eq!(
            recent.after(Cursor::at(Position::new(10)), 100),
            None,
            "nor is what is ahead known here"
        );
    }
}
