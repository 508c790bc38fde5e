//! Compares the whole stream with the whole journal, and makes it a copy where it is none.
//!
//! The relay looks at the stream's last message and counts the others; this looks at every one. The
//! shop and its relay may go on meanwhile: what is compared is what the stream held at the start,
//! and both sides are read in small batches, so the size of the journal does not matter.
//!
//! A message that holds members which were public once and are withdrawn now is no difference: the build of
//! its day published it so. It is counted, and a repair gets rid of it.
//!
//! [`Auditor::repair`] never writes a message itself. It deletes the stream, after giving the
//! journal a new epoch where the stream tells another history, and lets a relay fill it. Wherever
//! that is cut off, the stream is gone, behind or of another epoch, and the next repair goes on
//! from there.

mod messages;
mod repair;
mod report;

pub use report::{Difference, MAX_DIFFERENCES, Part, Remedy, Report};

use crate::public_event::{former_public_event, write_public_event, write_stub};
use crate::stream::{AGGREGATE_ID_HEADER, EVENT_ID_HEADER, StreamConfig};
use crate::stream::{aggregate_id_header, existing, foreign_epoch};
use async_nats::Client;
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::jetstream::{self, Message, context::ContextBuilder};
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use messages::Messages;
use sqlx::PgPool;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a JetStream request may take.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How many events are read from the journal at once.
const READ_BATCH: u64 = 256;

/// Why it cannot be said whether the stream is a copy. It may be asked again.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// PostgreSQL cannot be used.
    #[error("PostgreSQL cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] SourceError),
    /// NATS cannot be reached, or does not answer as it should.
    #[error("JetStream cannot be read: {0}")]
    JetStream(String),
    /// Somebody, most likely the relay, deleted the stream or made it anew meanwhile.
    #[error("the stream was deleted or made anew while it was read")]
    Changed,
    /// Nothing was published for a while during a repair.
    #[error("the stream is not being filled; it ends at position {0}")]
    Stalled(Position),
}

/// Compares and repairs; see the [module](self).
#[derive(Debug)]
pub struct Auditor<S> {
    source: Arc<S>,
    pool: PgPool,
    client: Client,
    config: StreamConfig,
}

impl<S: EventSource> Auditor<S> {
    /// An auditor of the copy of the journal `source`, which must read the database of `pool`
    /// itself: what a cache does not have yet would look like an event that is not there.
    #[must_use]
    pub fn new(source: Arc<S>, pool: PgPool, client: Client, config: StreamConfig) -> Self {
        Self { source, pool, client, config }
    }

    /// Compares everything that the stream holds now. `head` is the journal's last position, only
    /// to say how far the stream is behind. `progress` is told the position that was compared
    /// last, after every batch.
    ///
    /// # Errors
    /// [`AuditError`] when something could not be read to the end.
    pub async fn audit(
        &self,
        head: Position,
        mut progress: impl FnMut(Position),
    ) -> Result<Report, AuditError> {
        let first =
            self.source.read_after(Cursor::START, 1).await?.first().map(|event| event.position);
        let mut report = Report::new(first.unwrap_or_default(), head);
        let epoch = crate::epoch::current(&self.pool).await?;
        let Some(stream) = existing(&self.jetstream(), &self.config.name).await.map_err(error)?
        else {
            if head > Position::START {
                report.add(Difference::NoStream);
            }
            return Ok(report);
        };
        let before = stream.cached_info();
        report.stream_last = Some(Position::new(before.state.last_sequence));
        if let Some(difference) = other_epoch(before, epoch) {
            report.add(difference);
        }
        self.walk(&stream, &mut report, &mut progress).await?;
        // Whoever makes the stream anew takes messages away that were there at the start.
        let after = existing(&self.jetstream(), &self.config.name).await.map_err(error)?;
        if after.is_none_or(|after| after.cached_info().created != before.created) {
            return Err(AuditError::Changed);
        }
        Ok(report)
    }

    async fn walk(
        &self,
        stream: &Stream,
        report: &mut Report,
        progress: &mut impl FnMut(Position),
    ) -> Result<(), AuditError> {
        let until = Position::new(stream.cached_info().state.last_sequence);
        let first = report.journal_first.max(Position::FIRST);
        let mut events = Events { source: &*self.source, read: VecDeque::new() };
        let mut messages = Messages::from(stream, stream.cached_info().state.first_sequence);
        let mut next = first;
        'stream: loop {
            let batch = messages.batch().await?;
            if batch.is_empty() {
                break;
            }
            for (sequence, message) in batch {
                let position = Position::new(sequence);
                if position > until {
                    break 'stream;
                }
                if position < first {
                    report.older += 1;
                    continue;
                }
                report.missing(next, position.previous());
                next = position.next();
                match events.at(position).await? {
                    Some(event) => self.compare(&event, &message, report),
                    None => report.add(Difference::NotInJournal { from: position, to: position }),
                }
            }
            progress(next.previous());
        }
        if next <= until {
            report.missing(next, until);
            // A stream that was emptied still knows how far it reached.
            if events.at(until).await?.is_none() {
                let from = next.max(report.journal_head.next()).min(until);
                report.add(Difference::NotInJournal { from, to: until });
            }
        }
        Ok(())
    }

    fn compare(&self, event: &RecordedEvent, message: &Message, report: &mut Report) {
        let position = event.position;
        report.compared += 1;
        let header = |name: &str| Some(message.headers.as_ref()?.get(name)?.as_str());
        let stream_event = header(EVENT_ID_HEADER).and_then(|id| Uuid::try_parse(id).ok());
        if stream_event != Some(event.event_id) {
            let journal_event = event.event_id;
            report.add(Difference::OtherEvent { position, journal_event, stream_event });
            return;
        }
        let aggregate_id = aggregate_id_header(event);
        if header(AGGREGATE_ID_HEADER) != aggregate_id.as_ref().map(|id| id.as_str()) {
            report.add(Difference::OtherContent { position, part: Part::Headers });
        }
        if message.subject.as_str() != self.config.subject_of(event) {
            report.add(Difference::OtherContent { position, part: Part::Subject });
        }
        let mut body = Vec::new();
        write_public_event(event, &mut body);
        if message.payload == body {
            return;
        }
        // How large a message the server took when this one was published is not known any more.
        body.clear();
        write_stub(event, &mut body);
        if message.payload == body {
            report.stubs += 1;
        } else if former_public_event(event).is_some_and(|former| message.payload == former) {
            report.former += 1;
        } else {
            report.add(Difference::OtherContent { position, part: Part::Body });
        }
    }

    fn jetstream(&self) -> jetstream::Context {
        ContextBuilder::new().timeout(REQUEST_PATIENCE).build(self.client.clone())
    }
}

/// The journal's events, for somebody who asks for growing positions.
struct Events<'a, S> {
    source: &'a S,
    read: VecDeque<Arc<RecordedEvent>>,
}

impl<S: EventSource> Events<'_, S> {
    /// The event at a position; positions that nobody asks for are not read.
    async fn at(&mut self, position: Position) -> Result<Option<Arc<RecordedEvent>>, AuditError> {
        while self.read.front().is_some_and(|event| event.position < position) {
            self.read.pop_front();
        }
        if self.read.is_empty() {
            let batch = position..=position.plus(READ_BATCH - 1);
            self.read = self.source.stored(batch).await?.into();
        }
        Ok(self.read.front().filter(|event| event.position == position).cloned())
    }
}

fn other_epoch(info: &Info, journal_epoch: Uuid) -> Option<Difference> {
    let stream_epoch = foreign_epoch(info, journal_epoch)?.to_owned();
    Some(Difference::OtherEpoch { journal_epoch, stream_epoch })
}

fn error(error: impl Display) -> AuditError {
    AuditError::JetStream(error.to_string())
}
