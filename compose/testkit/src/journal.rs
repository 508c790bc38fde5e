//! A journal in memory: given these events.

use domain::{Cursor, EventSource, EventTypes, Position, RecordedEvent, SourceError, encode_event};
use std::collections::HashMap;
use std::ops::{RangeBounds, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

/// The journal's beginning, 2027-01-15 08:00:00 UTC; every event is a second later than the one before.
const START_UNIX: i64 = 1_800_000_000;

/// How long somebody waits for more before looking again.
const POLL: Duration = Duration::from_millis(100);

/// Events as the journal would have recorded them, served to whoever follows it.
#[derive(Debug, Default)]
pub struct Journal {
    events: Mutex<Events>,
    head: watch::Sender<Position>,
    is_broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Events {
    all: Vec<Arc<RecordedEvent>>,
    /// The last sequence of each stream, which is its aggregate's type and id.
    sequences: HashMap<(String, String), u64>,
}

impl Events {
    fn push(&mut self, event: Arc<RecordedEvent>) {
        let stream = (event.aggregate_type.clone(), event.aggregate_id.clone());
        self.sequences.insert(stream, event.sequence);
        self.all.push(event);
    }
}

impl Journal {
    /// Records an event as the next of its stream; returns its position.
    pub fn record<E: EventTypes>(
        &self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        event: &E,
    ) -> Position {
        let payload = encode_event(event).expect("events can be written as JSON");
        let (of_type, version) = (event.event_type(), event.event_version());
        self.record_version(aggregate_type, aggregate_id, (&of_type, &version), &payload).position
    }

    /// Records whatever it is told as the first version of its type, also what no build would write.
    pub fn record_raw(
        &self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        event_type: &str,
        payload: &str,
    ) -> Arc<RecordedEvent> {
        self.record_version(aggregate_type, aggregate_id, (event_type, "1"), payload)
    }

    fn record_version(
        &self,
        aggregate_type: &str,
        aggregate_id: impl ToString,
        (event_type, event_version): (&str, &str),
        payload: &str,
    ) -> Arc<RecordedEvent> {
        let mut events = self.lock();
        let position = self.head().next();
        let mut event = recorded(position, aggregate_type, aggregate_id, event_type, payload);
        event.event_version = event_version.to_owned();
        let stream = (aggregate_type.to_owned(), event.aggregate_id.clone());
        event.sequence = events.sequences.get(&stream).map_or(1, |last| last + 1);
        let event = Arc::new(event);
        events.push(Arc::clone(&event));
        self.head.send_replace(position);
        event
    }

    /// Takes events over as they are.
    pub fn append(&self, more: impl IntoIterator<Item = Arc<RecordedEvent>>) {
        let mut events = self.lock();
        more.into_iter().for_each(|event| events.push(event));
        self.head.send_replace(events.all.last().map_or(Position::START, |last| last.position));
    }

    /// Takes another event to stand where one stood.
    pub fn replace(&self, event: RecordedEvent) {
        for old in self.lock().all.iter_mut().filter(|old| old.position == event.position) {
            *old = Arc::new(event.clone());
        }
    }

    /// Takes another history in the place of this one.
    pub fn become_other(&self, other: &Self) {
        *self.lock() = Events::default();
        self.append(other.events());
    }

    /// The same events at these positions: up to one, as a restored backup or a fork begins, or from one
    /// on, as it is when what came before was cut away.
    pub fn part(&self, positions: impl RangeBounds<u64>) -> Arc<Self> {
        let part = Arc::<Self>::default();
        let is_in = |event: &Arc<RecordedEvent>| positions.contains(&event.position.get());
        part.append(self.events().into_iter().filter(is_in));
        part
    }

    /// All events, in order.
    pub fn events(&self) -> Vec<Arc<RecordedEvent>> {
        self.lock().all.clone()
    }

    /// The events after `position`.
    pub fn after(&self, position: Position) -> impl Iterator<Item = Arc<RecordedEvent>> + use<> {
        self.events().into_iter().filter(move |event| event.position > position)
    }

    /// The event at a position, which has to be there.
    pub fn event(&self, position: Position) -> RecordedEvent {
        let next = self.after(position.previous()).next();
        RecordedEvent::clone(&next.expect("there is one"))
    }

    /// The last position.
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// The last position, as it grows.
    pub fn watch_head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Whether it cannot be read.
    pub fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().expect("no test panics while it holds the lock")
    }

    fn read(&self) -> Result<MutexGuard<'_, Events>, SourceError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(SourceError::unavailable("the test broke it"));
        }
        Ok(self.lock())
    }
}

impl EventSource for Journal {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let events = &self.read()?.all;
        let first = events.partition_point(|event| event.position <= after.position);
        let is_other = |event: &Arc<RecordedEvent>| {
            event.position == after.position
                && after.event_id.is_some_and(|believed| believed != event.event_id)
        };
        if events[..first].last().is_some_and(is_other) || after.position > self.head() {
            return Err(SourceError::OtherHistory(after));
        }
        Ok(events[first..].iter().take(limit).cloned().collect())
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let events = &self.read()?.all;
        let wanted = events.iter().filter(|event| positions.contains(&event.position));
        Ok(wanted.cloned().collect())
    }

    async fn wait_after(&self, after: Position) {
        let mut head = self.watch_head();
        let more = head.wait_for(|head| *head > after);
        let _more_or_poll = timeout(POLL, more).await;
    }
}

/// An event on its own, with its position as sequence.
pub fn recorded(
    position: Position,
    aggregate_type: &str,
    aggregate_id: impl ToString,
    event_type: &str,
    payload: &str,
) -> RecordedEvent {
    let event_id: Uuid = crate::new_id();
    RecordedEvent {
        position,
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: aggregate_id.to_string(),
        sequence: position.get(),
        event_type: event_type.to_owned(),
        event_version: "1".to_owned(),
        payload: payload.to_owned(),
        metadata: format!(
            r#"{{"event_id":"{event_id}","actor":"system:test","correlation_id":"{event_id}"}}"#
        ),
        event_id,
        recorded_at: recorded_at(position),
    }
}

/// When the event at `position` was recorded.
pub fn recorded_at(position: Position) -> OffsetDateTime {
    let seconds = START_UNIX + position.bigint();
    OffsetDateTime::from_unix_timestamp(seconds).expect("not far from now")
}
