//! Compares the stream with the journal, and makes it again where it can only be made again.

use super::{Divergence, Trouble};
use crate::stream::{StreamConfig, event_id, existing, foreign_epoch};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, Stream};
use domain::{Cursor, EventSource, Position};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use time::OffsetDateTime;
use uuid::Uuid;

/// How many of the newest messages are compared before publishing goes on: at least as many as a relay
/// that died may have had on their way, none of which it saw answered.
const COMPARED_NEWEST: u64 = 2 * super::publish::MAX_IN_FLIGHT;

/// How many messages are asked for at once.
const ASKED_AT_ONCE: usize = 64;

/// What the comparison showed.
pub(super) enum Comparison {
    /// The stream is the beginning of the journal, up to a position.
    Copy(Copy),
    /// It is not.
    Diverged(Divergence),
}

/// A stream that is the beginning of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// Publishing goes on behind this event.
    pub(super) cursor: Cursor,
    /// Where the stream begins.
    pub(super) first: Position,
    /// How many of the messages between are missing; only when it may not be filled again.
    pub(super) missing: u64,
    /// Whether it was made again because it had lost messages.
    pub(super) refilled: bool,
    /// When the server made it: one that is deleted and made again has its name, and another time.
    pub(super) created: OffsetDateTime,
    /// The journal's.
    pub(super) epoch: Uuid,
}

impl Copy {
    /// Whether the stream is still the one that was compared, and has everything up to `stored`.
    pub(super) fn is_still(&self, info: &Info, stored: Position) -> Result<(), Trouble> {
        if info.created != self.created || foreign_epoch(info, self.epoch).is_some() {
            return Err(Trouble::Replaced);
        }
        if Position::new(info.state.last_sequence) < stored
            || missing(info, self.first) > self.missing
        {
            return Err(Trouble::Incomplete);
        }
        Ok(())
    }
}

pub(super) struct Synchronizer<'a, S> {
    pub(super) source: &'a S,
    pub(super) jetstream: &'a Context,
    pub(super) config: &'a StreamConfig,
    pub(super) epoch: Uuid,
    /// Whether a stream that has lost messages may be made again.
    pub(super) may_refill: bool,
    /// Where another event than the journal's was seen before.
    pub(super) suspect: Option<Position>,
}

impl<S: EventSource> Synchronizer<'_, S> {
    pub(super) async fn run(&self) -> Result<Comparison, Trouble> {
        let first = self.first().await?;
        match existing(self.jetstream, &self.config.name).await.map_err(trouble)? {
            None => self.create(first, false).await.map(Comparison::Copy),
            Some(stream) => {
                let comparison = self.compare(&stream, first).await?;
                if matches!(&comparison, Comparison::Copy(copy) if !copy.refilled) {
                    self.correct(&stream).await;
                }
                Ok(comparison)
            }
        }
    }

    /// Where the journal begins: it may have been cut in front, and so does the stream then.
    async fn first(&self) -> Result<Position, Trouble> {
        if self.source.event_at(Position::FIRST).await?.is_some() {
            return Ok(Position::FIRST);
        }
        let first = self.source.read_after(Cursor::START, 1).await?;
        Ok(first.first().map_or(Position::FIRST, |event| event.position))
    }

    async fn compare(&self, stream: &Stream, first: Position) -> Result<Comparison, Trouble> {
        let info = stream.cached_info();
        if let Some(stream_epoch) = foreign_epoch(info, self.epoch) {
            let (journal_epoch, stream_epoch) = (self.epoch, stream_epoch.to_owned());
            let foreign = Divergence::ForeignEpoch { journal_epoch, stream_epoch };
            return Ok(Comparison::Diverged(foreign));
        }
        let last = Position::new(info.state.last_sequence);
        let mut cursor = Cursor::at(last);
        if last >= first {
            let Some(journal) = self.source.event_at(last).await? else {
                return Ok(Comparison::Diverged(Divergence::Ahead { stream_position: last }));
            };
            cursor = Cursor::behind(&journal);
            let newest = first.max(last.next().minus(COMPARED_NEWEST))..=last;
            let suspect = self.suspect.filter(|suspect| (first..=last).contains(suspect));
            for positions in suspect.map(|at| at..=at).into_iter().chain([newest]) {
                if let Some(divergence) = divergence(self.source, stream, positions).await? {
                    return Ok(Comparison::Diverged(divergence));
                }
            }
        }
        let missing = missing(info, first);
        if missing == 0 && last.next() >= first {
            return Ok(Comparison::Copy(self.copy(info, cursor, first)));
        }
        if self.may_refill || last.next() < first {
            tracing::warn!(
                nats.stream = %self.config.name,
                nats.messages_missing = missing,
                "the stream has lost messages and is filled again from the journal"
            );
            return self.recreate(first).await.map(Comparison::Copy);
        }
        tracing::error!(
            nats.stream = %self.config.name,
            nats.messages_missing = missing,
            "the stream has lost messages again, soon after it was filled; somebody deletes them"
        );
        Ok(Comparison::Copy(self.copy(info, cursor, first)))
    }

    async fn create(&self, first: Position, refilled: bool) -> Result<Copy, Trouble> {
        let config = self.config.to_create(first.get(), self.epoch);
        let stream = self.jetstream.create_stream(config).await.map_err(trouble)?;
        // Somebody else may have made it a moment earlier and put something into it.
        let info = stream.cached_info();
        if info.state.messages > 0 {
            return Err(Trouble::JetStream("the stream was made by somebody else".to_owned()));
        }
        tracing::info!(nats.stream = %self.config.name, event.position = first.get(), "made the stream");
        Ok(Copy { refilled, ..self.copy(info, Cursor::at(first.previous()), first) })
    }

    fn copy(&self, info: &Info, cursor: Cursor, first: Position) -> Copy {
        let missing = missing(info, first);
        let (created, epoch) = (info.created, self.epoch);
        Copy { cursor, first, missing, refilled: false, created, epoch }
    }

    async fn recreate(&self, first: Position) -> Result<Copy, Trouble> {
        self.jetstream.delete_stream(&self.config.name).await.map_err(trouble)?;
        self.create(first, true).await
    }

    /// Brings back what somebody has configured otherwise. Not being able to is no reason to stop
    /// publishing.
    async fn correct(&self, stream: &Stream) {
        let existing = &stream.cached_info().config;
        let wanted = self.config.corrected(existing.clone(), self.epoch);
        if wanted == *existing {
            return;
        }
        match self.jetstream.update_stream(wanted).await {
            Ok(_) => {
                tracing::info!(nats.stream = %self.config.name, "corrected the stream's configuration")
            }
            Err(error) => tracing::warn!(
                nats.stream = %self.config.name, %error,
                "the stream is not configured as it should be"
            ),
        }
    }
}

/// The first of these positions at which the stream holds another event than the journal. The
/// journal's are read from the database: a memory may be of the very history that is gone. A message
/// that is not there is no other event.
pub(super) async fn divergence<S: EventSource>(
    source: &S,
    stream: &Stream,
    positions: RangeInclusive<Position>,
) -> Result<Option<Divergence>, Trouble> {
    let mut journal = BTreeMap::new();
    let mut next = *positions.start();
    while next <= *positions.end() {
        let events = source.stored(next..=*positions.end()).await?;
        let Some(last) = events.last() else { break };
        next = last.position.next();
        journal.extend(events.iter().map(|event| (event.position, event.event_id)));
    }
    // All questions first: they are answered while the next ones are asked.
    let sequences = positions.start().get()..=positions.end().get();
    let questions: Vec<_> = sequences.map(|sequence| message(stream, sequence)).collect();
    let mut answers = futures::stream::iter(questions).buffered(ASKED_AT_ONCE);
    while let Some(answer) = answers.next().await {
        let Some(message) = answer? else { continue };
        let position = Position::new(message.sequence);
        let stream_event = event_id(&message.headers);
        match journal.get(&position) {
            Some(journal_event) if stream_event == Some(*journal_event) => {}
            Some(journal_event) => {
                let journal_event = *journal_event;
                return Ok(Some(Divergence::Forked { position, journal_event, stream_event }));
            }
            None => return Ok(Some(Divergence::Ahead { stream_position: position })),
        }
    }
    Ok(None)
}

/// How many messages from `first` to the stream's last are not there. Messages from before `first`,
/// of a journal that was cut in front since, must not stand in for others: holes among them count too.
fn missing(info: &Info, first: Position) -> u64 {
    let first = first.min(Position::new(info.state.first_sequence.max(1)));
    let expected = first.previous().lag(Position::new(info.state.last_sequence));
    expected.saturating_sub(info.state.messages)
}

async fn message(stream: &Stream, sequence: u64) -> Result<Option<StreamMessage>, Trouble> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            _ => Err(trouble(error)),
        },
    }
}

pub(super) fn trouble(error: impl Display) -> Trouble {
    Trouble::JetStream(error.to_string())
}
