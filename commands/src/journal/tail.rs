//! One reader of the journal's end per process, fanned out to everybody who follows it.

use super::read::JournalReader;
use domain::{EventSource, MAX_BATCH_BYTES, RecordedEvent, SourceError};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Events kept in memory: followers that are at most this far behind cost the database nothing.
/// Some 10 MB at usual event sizes.
const KEPT_EVENTS: usize = 8_192;

/// What they may take together: a few of the largest batches.
const KEPT_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// Events in one read.
const READ_EVENTS: usize = 1_000;

/// The pause after a failed read; the database's restart takes longer than a few of these.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long a follower waits before it looks again by itself. The tail polls for everybody, so
/// this only bounds a lost wake-up.
const FOLLOWER_WAIT: Duration = Duration::from_secs(1);

/// Follows the journal and serves its latest events from memory, older ones from the database.
/// Cheap to clone.
#[derive(Clone)]
pub struct Tail {
    reader: JournalReader,
    recent: Arc<RwLock<Recent>>,
    head: watch::Receiver<u64>,
}

struct Recent {
    /// Consecutive positions, ending at `head`.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    head: u64,
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
        let head = reader.head().await.map_err(|error| SourceError(error.into()))?;
        let recent = Arc::new(RwLock::new(Recent { events: VecDeque::new(), bytes: 0, head }));
        let (head_sender, head) = watch::channel(head);
        let tail = Self { reader, recent, head };
        tokio::spawn(follow(tail.clone(), head_sender, cancel));
        Ok(tail)
    }

    /// The last position that is known to be readable here.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

impl Recent {
    /// What is held after `after`; none when it does not reach back that far.
    fn after(&self, after: u64, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        if after >= self.head {
            return Some(Vec::new());
        }
        let first = self.events.front()?.position;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        let mut bytes = 0;
        let has_room = |event: &&Arc<RecordedEvent>| {
            let before = bytes;
            bytes += event.bytes();
            before < MAX_BATCH_BYTES
        };
        Some(self.events.iter().skip(skip).take(limit).take_while(has_room).cloned().collect())
    }

    fn remember(&mut self, events: Vec<Arc<RecordedEvent>>) {
        self.head = events.last().map_or(self.head, |event| event.position);
        self.bytes += events.iter().map(|event| event.bytes()).sum::<usize>();
        self.events.extend(events);
        while (self.events.len() > KEPT_EVENTS || self.bytes > KEPT_BYTES)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

impl EventSource for Tail {
    async fn read_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner).after(after, limit);
        match recent {
            Some(events) => Ok(events),
            None => self.reader.read_after(after, limit).await,
        }
    }

    async fn wait_after(&self, after: u64) {
        let mut head = self.head.clone();
        let told = async {
            if head.wait_for(|head| *head > after).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(FOLLOWER_WAIT, told).await;
    }
}

async fn follow(tail: Tail, head: watch::Sender<u64>, cancel: CancellationToken) {
    let mut after = *head.borrow();
    while !cancel.is_cancelled() {
        match tail.reader.read_after(after, READ_EVENTS).await {
            Ok(events) => {
                if let Some(last) = events.last() {
                    after = last.position;
                    tail.recent.write().unwrap_or_else(PoisonError::into_inner).remember(events);
                    head.send_replace(after);
                    continue;
                }
            }
            Err(error) => {
                warn!(%error, "the journal's tail could not be read");
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = tokio::time::sleep(RETRY_PAUSE) => continue,
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tail.reader.wait_after(after) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn event(position: u64, bytes: usize) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent {
            position,
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
        let mut recent = Recent { events: VecDeque::new(), bytes: 0, head: 0 };
        let large = KEPT_BYTES / 8;
        (1..=20).for_each(|position| recent.remember(vec![event(position, large)]));
        assert_eq!(recent.events.len(), 8);
        assert_eq!(recent.after(11, 100), None, "somebody else has it");
        let positions = |events: Vec<Arc<RecordedEvent>>| {
            events.iter().map(|event| event.position).collect::<Vec<_>>()
        };
        assert_eq!(recent.after(12, 100).map(positions), Some(vec![13, 14]), "two are a batch");

        let kept = u64::try_from(KEPT_EVENTS).expect("small");
        recent.remember((21..=20 + kept).map(|position| event(position, 1)).collect());
        assert_eq!((recent.events.len(), recent.bytes), (KEPT_EVENTS, KEPT_EVENTS));
        assert_eq!(recent.after(19, 100), None, "it had to go");
        assert_eq!(recent.after(20, 3).map(positions), Some(vec![21, 22, 23]));
        assert_eq!(recent.after(20 + kept, 3), Some(vec![]), "there is none yet");
    }
}
