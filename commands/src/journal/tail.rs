//! One reader of the journal's end per process, fanned out to everybody who follows it.

use super::read::JournalReader;
use domain::{EventSource, RecordedEvent, SourceError};
use std::collections::VecDeque;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Events kept in memory: followers that are at most this far behind cost the database nothing.
/// Some 10 MB at usual event sizes.
const KEPT_EVENTS: usize = 8_192;

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
        let recent = Arc::new(RwLock::new(Recent { events: VecDeque::new(), head }));
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

    /// What memory holds after `after`; none when it does not reach back that far.
    fn recent_after(&self, after: u64, limit: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        let recent = self.recent.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if after >= recent.head {
            return Some(Vec::new());
        }
        let first = recent.events.front()?.position;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(recent.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

impl EventSource for Tail {
    async fn read_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        match self.recent_after(after, limit) {
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
                    remember(&tail, events);
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

fn remember(tail: &Tail, events: Vec<Arc<RecordedEvent>>) {
    let mut recent = tail.recent.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    recent.head = events.last().map_or(recent.head, |event| event.position);
    recent.events.extend(events);
    let surplus = recent.events.len().saturating_sub(KEPT_EVENTS);
    recent.events.drain(..surplus);
}
